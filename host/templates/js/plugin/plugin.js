// Limits how many tickets one booking may hold, and words confirmations; all other mails keep the built-in words.
// Configuration: {"ticketsMax": 4, "greeting": "Ahoy"}
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

import { accept, escaped, info, policy, reject, template, text, wholeNumber } from "./boxoffice-plugin/index.js";

/** A plugin has one configuration: both halves read all of it, so that a wrong name fails both. */
const settings = { ticketsMax: wholeNumber({ min: 1 }), greeting: text() };

/** What the host calls: the interface booking-policy of wit/boxoffice.wit, names in camelCase. */
export const bookingPolicy = policy({
  settings,

  validateBooking(request, { ticketsMax }) {
    const tickets = request.lines.reduce((sum, line) => sum + line.quantity, 0);
    if (tickets <= ticketsMax) {
      return accept();
    }
    info(`${tickets} tickets are too many`);
    return reject("too-many-tickets", `Up to ${ticketsMax} tickets a booking.`);
  },
});

/** What the host calls: the interface notification-template, names in camelCase. */
export const notificationTemplate = template({
  settings,

  render({ kind, data }, { greeting }) {
    if (kind !== "booking-confirmed") {
      // Not mine: the built-in words stand.
      return null;
    }
    const line = `${greeting} ${data.recipient.name}, you are in: ${data.event.title}.`;
    return {
      subject: [...`Your tickets: ${data.event.title}`].slice(0, 200).join(""),
      text: line,
      html: `<p>${escaped(line)}</p>`,
    };
  },
});
