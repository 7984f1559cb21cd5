// Makes tickets cheaper for groups: from a number of tickets on, by some percent.
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

import { log } from "boxoffice:plugin/host@0.1.0";

const DEFAULTS = { ticketsMin: 10, percentOff: 15 };

/** What the host calls: the interface booking-policy of boxoffice.wit, names in camelCase. */
export const bookingPolicy = {
  validateBooking(request, config) {
    const { ticketsMin, percentOff } = settings(config);
    const tickets = request.lines.reduce((sum, line) => sum + line.quantity, 0);
    if (tickets < ticketsMin) {
      return { tag: "accept" };
    }
    log("info", `group of ${tickets}: ${percentOff} percent off`);
    const unitPricesMinor = request.lines.map((line) => Math.round((line.unitPriceMinor * (100 - percentOff)) / 100));
    return {
      tag: "adjust",
      val: { unitPricesMinor, messages: [`Group price: ${percentOff} % off from ${ticketsMin} tickets on.`] },
    };
  },

  validateCancellation(_request, _config) {
    return { tag: "accept" };
  },
};

/** Reads the tenant's configuration. What is thrown here ends the call, and the log says why. */
function settings(config) {
  const { ticketsMin, percentOff, ...unknown } = { ...DEFAULTS, ...JSON.parse(config) };
  const isWhole = (value, min, max) => Number.isInteger(value) && value >= min && value <= max;
  if (!isWhole(ticketsMin, 2, 1000)) return refuse("ticketsMin: a whole number from 2 to 1000");
  if (!isWhole(percentOff, 1, 100)) return refuse("percentOff: a whole number from 1 to 100");
  if (Object.keys(unknown).length > 0) return refuse(`${Object.keys(unknown)[0]}: there is no such setting`);
  return { ticketsMin, percentOff };
}

function refuse(reason) {
  log("error", `the configuration does not fit: ${reason}`);
  throw new Error(reason);
}
