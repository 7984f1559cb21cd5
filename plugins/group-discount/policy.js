// Makes tickets cheaper for groups: from a number of tickets on, by some percent.
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

import { accept, adjust, info, policy, wholeNumber } from "../../host/templates/js/boxoffice-plugin/index.js";

/** What the host calls: the interface booking-policy of boxoffice.wit, names in camelCase. */
export const bookingPolicy = policy({
  settings: {
    ticketsMin: wholeNumber({ min: 2, max: 1000, default: 10 }),
    percentOff: wholeNumber({ min: 1, max: 100, default: 15 }),
  },

  validateBooking(request, { ticketsMin, percentOff }) {
    const tickets = request.lines.reduce((sum, line) => sum + line.quantity, 0);
    if (tickets < ticketsMin) {
      return accept();
    }
    info(`group of ${tickets}: ${percentOff} percent off`);
    // A fraction of a cent is no price: what is not rounded fails the call.
    const prices = request.lines.map((line) => Math.round((line.unitPriceMinor * (100 - percentOff)) / 100));
    return adjust(prices, [`Group price: ${percentOff} % off from ${ticketsMin} tickets on.`]);
  },
});
