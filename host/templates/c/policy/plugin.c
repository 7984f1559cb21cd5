// Limits how many tickets one booking may hold.
//
// Each call runs in a fresh instance: nothing is freed here, and nothing is kept for the next call. bindings/policy.h is made of
// wit/boxoffice.wit; copy it together with the other files of its folder when the contract gets a new version.

#include <string.h>

#include "bindings/policy.h"

typedef exports_boxoffice_plugin_booking_policy_booking_request_t booking_request_t;
typedef exports_boxoffice_plugin_booking_policy_cancellation_request_t cancellation_request_t;
typedef exports_boxoffice_plugin_booking_policy_decision_t decision_t;
typedef exports_boxoffice_plugin_booking_policy_cancellation_decision_t cancellation_decision_t;

// Take it from `config` (JSON) with a parser of your choice; the example max-per-customer shows a small one.
enum { TICKETS_MAX = 4 };

void exports_boxoffice_plugin_booking_policy_validate_booking(booking_request_t *request, policy_string_t *config,
                                                              decision_t *decision) {
  // 64 bits, because a sum of hostile quantities would wrap around in 32.
  uint64_t tickets = 0;
  for (size_t index = 0; index < request->lines.len; index++) tickets += request->lines.ptr[index].quantity;
  if (tickets <= TICKETS_MAX) {
    decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_ACCEPT;
    return;
  }
  policy_string_t message;
  policy_string_set(&message, "too many tickets");
  boxoffice_plugin_host_log(BOXOFFICE_PLUGIN_HOST_LOG_LEVEL_INFO, &message);
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_DECISION_REJECT;
  // The bindings free what is handed back, so it must be a copy of its own.
  policy_string_dup(&decision->val.reject.code, "too-many-tickets");
  policy_string_dup(&decision->val.reject.reason, "Up to 4 tickets a booking.");
}

void exports_boxoffice_plugin_booking_policy_validate_cancellation(cancellation_request_t *request,
                                                                   policy_string_t *config,
                                                                   cancellation_decision_t *decision) {
  decision->tag = EXPORTS_BOXOFFICE_PLUGIN_BOOKING_POLICY_CANCELLATION_DECISION_ACCEPT;
}
