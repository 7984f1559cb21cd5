// Words confirmations; all other mails keep the built-in words.
//
// Each call runs in a fresh instance: nothing is freed here, and nothing is kept for the next call. bindings/template.h is made of
// wit/boxoffice.wit; copy it together with the other files of its folder when the contract gets a new version.

#include <string.h>

#include "bindings/template.h"

typedef exports_boxoffice_plugin_notification_template_render_request_t render_request_t;
typedef exports_boxoffice_plugin_notification_template_rendered_t rendered_t;

static bool is_equal(const template_string_t *text, const char *other) {
  return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// Answers whether the words are in `rendered`; if not, `declined` says why.
bool exports_boxoffice_plugin_notification_template_render(render_request_t *request, template_string_t *config,
                                                           rendered_t *rendered, template_string_t *declined) {
  if (!is_equal(&request->kind, "booking-confirmed")) {
    template_string_dup(declined, "not mine");
    return false;
  }
  // Names and titles are in request->data_json; a JSON parser of your choice reads them.
  template_string_dup(&rendered->subject, "You are in");
  template_string_dup(&rendered->text, "Your tickets are booked.");
  template_string_dup(&rendered->html, "<p>Your tickets are booked.</p>");
  return true;
}
