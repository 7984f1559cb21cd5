// Limits how many tickets one booking may hold. Configuration: {"ticketsMax": 4}
//
// Each call runs in a fresh instance: nothing is freed here, and nothing is kept for the next call. bindings/policy.h is made of
// wit/boxoffice.wit; copy it together with the other files of its folder when the contract gets a new version.

#include <string.h>

#include "bindings/policy.h"
#include "settings.h"

typedef exports_boxoffice_plugin_booking_policy_booking_request_t booking_request_t;
typedef exports_boxoffice_plugin_booking_policy_cancellation_request_t cancellation_request_t;
typedef exports_boxoffice_plugin_booking_policy_decision_t decision_t;
typedef exports_boxoffice_plugin_booking_policy_cancellation_decision_t cancellation_decision_t;

// Ends the call, which refuses the booking; the tenant reads the reason in the plugin's log.
static _Noreturn void fail(const char *reason) {
  policy_string_t message;
  policy_string_set(&message, reason);
  boxoffice_plugin_host_log(BOXOFFICE_PLUGIN_HOST_LOG_LEVEL_ERROR, &message);
  __builtin_trap();
}

// Reads {"ticketsMax": 4}.
static uint32_t tickets_max(const policy_string_t *config) {
  setting_t settings[] = { {.name = "ticketsMax", .min = 1, .max = 1000000} };
  const char *failure = read_settings(config->ptr, config->len, settings, 1);
  if (failure) fail(failure);
  return settings[0].value;
}

void exports_boxoffice_plugin_booking_policy_validate_booking(booking_request_t *request, policy_string_t *config,
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
  policy_string_t message;
  policy_string_set(&message, "too many tickets");
  boxoffice_plugin_host_log(BOXOFFICE_PLUGIN_HOST_LOG_LEVEL_INFO, &message);
  snprintf(reason, sizeof reason, "Up to %u tickets a booking.", (unsigned)max);
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_REJECT;
  // The bindings free what is handed back, so it must be a copy of its own.
  policy_string_dup(&decision->val.reject.code, "too-many-tickets");
  policy_string_dup(&decision->val.reject.reason, reason);
}

void exports_boxoffice_plugin_booking_policy_validate_cancellation(cancellation_request_t *request, policy_string_t *config,
                                                                   cancellation_decision_t *decision) {
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_CANCELLATION_DECISION_ACCEPT;
}
