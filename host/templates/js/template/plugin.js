// Words confirmations; all other mails keep the built-in words. Configuration: {"greeting": "Ahoy"}
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

import { escaped, template, text } from "./boxoffice-plugin/index.js";

/** What the host calls: the interface notification-template of wit/boxoffice.wit, names in camelCase. */
export const notificationTemplate = template({
  settings: { greeting: text() },

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
