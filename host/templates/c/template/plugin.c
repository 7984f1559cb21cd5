// Words confirmations; all other mails keep the built-in words.
//
// Each call runs in a fresh instance: nothing is freed here, and nothing is kept for the next call. bindings/template.h is made of
// wit/boxoffice.wit; copy it together with the other files of its folder when the contract gets a new version.

#include <string.h>

#include "bindings/template.h"
#include "settings.h"

typedef exports_boxoffice_plugin_notification_template_render_request_t render_request_t;
typedef exports_boxoffice_plugin_notification_template_rendered_t rendered_t;

// Ends the call, and the built-in words stand in; the tenant reads the reason in the plugin's log.
static _Noreturn void fail(const char *reason) {
  template_string_t message;
  template_string_set(&message, reason);
  boxoffice_plugin_host_log(BOXOFFICE_PLUGIN_HOST_LOG_LEVEL_ERROR, &message);
  __builtin_trap();
}

static bool is_equal(const template_string_t *text, const char *other) {
  return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// Returns whether the words are in `rendered`; if not, `declined` says why.
bool exports_boxoffice_plugin_notification_template_render(render_request_t *request, template_string_t *config,
                                                           rendered_t *rendered, template_string_t *declined) {
  // It has no settings yet: give read_settings an array of them.
  const char *failure = read_settings(config->ptr, config->len, NULL, 0);
  if (failure) fail(failure);
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
