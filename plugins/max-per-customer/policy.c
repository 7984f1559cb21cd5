// Limits how many tickets of an event one customer may hold, whatever the number of bookings.
//
// `tickets_in_event` is exact: the host makes the booking only if the customer holds just as many when it is written, and asks
// again otherwise. So fifty requests at once get no more through than one after another.
//
// Each call runs in a fresh instance, so nothing is freed here: the host drops the whole memory.

#include <stdio.h>

#include "bindings/policy.h"
// Beside the templates of `boxoffice plugin new --lang c`, which puts it into its projects.
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

// Reads {"max": 2}.
static uint32_t read_max(const policy_string_t *config) {
  setting_t settings[] = { {.name = "max", .min = 1, .max = 1000000} };
  const char *failure = read_settings(config->ptr, config->len, settings, 1);
  if (failure) fail(failure);
  return settings[0].value;
}

void exports_boxoffice_plugin_booking_policy_validate_booking(booking_request_t *request, policy_string_t *config,
                                                              decision_t *decision) {
  static char reason[64];
  uint32_t max = read_max(config);
  // 64 bits, because a sum of hostile quantities would wrap around in 32.
  uint64_t tickets = request->customer.tickets_in_event;
  for (size_t index = 0; index < request->lines.len; index++) tickets += request->lines.ptr[index].quantity;
  if (tickets <= max) {
    decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_ACCEPT;
    return;
  }
  snprintf(reason, sizeof reason, "Up to %u tickets per customer.", (unsigned)max);
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_REJECT;
  // What is handed back is freed by the bindings, so it must be a copy of its own.
  policy_string_dup(&decision->val.reject.code, "max-per-customer");
  policy_string_dup(&decision->val.reject.reason, reason);
}

void exports_boxoffice_plugin_booking_policy_validate_cancellation(cancellation_request_t *request,
                                                                   policy_string_t *config,
                                                                   cancellation_decision_t *decision) {
  (void)request;
  (void)config;
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_CANCELLATION_DECISION_ACCEPT;
}
