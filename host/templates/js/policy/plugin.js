// Limits how many tickets one booking may hold. Configuration: {"ticketsMax": 4}
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

import { log } from "boxoffice:plugin/host@0.1.0";

/** What the host calls: the interface booking-policy of wit/boxoffice.wit, names in camelCase. */
export const bookingPolicy = {
  validateBooking(request, config) {
    const { ticketsMax } = JSON.parse(config);
    if (!Number.isInteger(ticketsMax) || ticketsMax < 1) {
      // What is thrown ends the call, which refuses the booking.
      log("error", "the configuration does not fit: ticketsMax: a whole number from 1 on");
      throw new Error("ticketsMax");
    }
    const tickets = request.lines.reduce((sum, line) => sum + line.quantity, 0);
    if (tickets <= ticketsMax) {
      return { tag: "accept" };
    }
    log("info", `${tickets} tickets are too many`);
    return { tag: "reject", val: { code: "too-many-tickets", reason: `Up to ${ticketsMax} tickets a booking.` } };
  },

  validateCancellation(_request, _config) {
    return { tag: "accept" };
  },
};
