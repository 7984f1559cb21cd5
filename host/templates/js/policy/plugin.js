// Limits how many tickets one booking may hold. Configuration: {"ticketsMax": 4}
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

import { accept, info, policy, reject, wholeNumber } from "./boxoffice-plugin/index.js";

/** What the host calls: the interface booking-policy of wit/boxoffice.wit, names in camelCase. */
export const bookingPolicy = policy({
  settings: { ticketsMax: wholeNumber({ min: 1 }) },

  validateBooking(request, { ticketsMax }) {
    const tickets = request.lines.reduce((sum, line) => sum + line.quantity, 0);
    if (tickets <= ticketsMax) {
      return accept();
    }
    info(`${tickets} tickets are too many`);
    return reject("too-many-tickets", `Up to ${ticketsMax} tickets a booking.`);
  },
});
