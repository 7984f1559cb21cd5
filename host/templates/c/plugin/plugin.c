// Limits how many tickets one booking may hold, and words confirmations; all other mails keep the built-in words.
// Configuration: {"ticketsMax": 4}
//
// Each call runs in a fresh instance: nothing is freed here, and nothing is kept for the next call. bindings/plugin.h is made of
// wit/boxoffice.wit; copy it together with the other files of its folder when the contract gets a new version.

#include <string.h>

#include "bindings/plugin.h"
#include "settings.h"

typedef exports_boxoffice_plugin_booking_policy_booking_request_t booking_request_t;
typedef exports_boxoffice_plugin_booking_policy_cancellation_request_t cancellation_request_t;
typedef exports_boxoffice_plugin_booking_policy_decision_t decision_t;
typedef exports_boxoffice_plugin_booking_policy_cancellation_decision_t cancellation_decision_t;
typedef exports_boxoffice_plugin_notification_template_render_request_t render_request_t;
typedef exports_boxoffice_plugin_notification_template_rendered_t rendered_t;

// Ends the call: a booking is refused, a mail keeps its built-in words. The tenant reads the reason in the plugin's log.
static _Noreturn void fail(const char *reason) {
  plugin_string_t message;
  plugin_string_set(&message, reason);
  boxoffice_plugin_host_log(BOXOFFICE_PLUGIN_HOST_LOG_LEVEL_ERROR, &message);
  __builtin_trap();
}

// Reads {"ticketsMax": 4}.
static uint32_t tickets_max(const plugin_string_t *config) {
  setting_t settings[] = { {.name = "ticketsMax", .min = 1, .max = 1000000} };
  const char *failure = read_settings(config->ptr, config->len, settings, 1);
  if (failure) fail(failure);
  return settings[0].value;
}

void exports_boxoffice_plugin_booking_policy_validate_booking(booking_request_t *request, plugin_string_t *config,
                                                              decision_t *decision) {
  static char reason[64];
  uint32_t max = tickets_max(config);
  // 64 bits, because a sum of hostile quantities would wrap around in 32.
  uint64_t tickets = 0;
  for (size_t index = 0; index < request->lines.len; index++) tickets += request->lines.ptr[index].quantity;
  if (tickets <= max) {
    decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_ACCEPT;
    return;
  }
  plugin_string_t message;
  plugin_string_set(&message, "too many tickets");
  boxoffice_plugin_host_log(BOXOFFICE_PLUGIN_HOST_LOG_LEVEL_INFO, &message);
  snprintf(reason, sizeof reason, "Up to %u tickets a booking.", (unsigned)max);
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_REJECT;
  // The bindings free what is handed back, so it must be a copy of its own.
  plugin_string_dup(&decision->val.reject.code, "too-many-tickets");
  plugin_string_dup(&decision->val.reject.reason, reason);
}

void exports_boxoffice_plugin_booking_policy_validate_cancellation(cancellation_request_t *request, plugin_string_t *config,
                                                                   cancellation_decision_t *decision) {
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_CANCELLATION_DECISION_ACCEPT;
}

static bool is_equal(const plugin_string_t *text, const char *other) {
  return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// Returns whether the words are in `rendered`; if not, `declined` says why.
bool exports_boxoffice_plugin_notification_template_render(render_request_t *request, plugin_string_t *config,
                                                           rendered_t *rendered, plugin_string_t *declined) {
  // One configuration for both halves: what is wrong in it fails both.
  tickets_max(config);
  if (!is_equal(&request->kind, "booking-confirmed")) {
    plugin_string_dup(declined, "not mine");
    return false;
  }
  // Names and titles are in request->data_json; a JSON parser of your choice reads them.
  plugin_string_dup(&rendered->subject, "You are in");
  plugin_string_dup(&rendered->text, "Your tickets are booked.");
  plugin_string_dup(&rendered->html, "<p>Your tickets are booked.</p>");
  return true;
}
