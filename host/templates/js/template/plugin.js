// Words confirmations; all other mails keep the built-in words. Configuration: {"greeting": "Ahoy"}
//
// Each call runs in a fresh instance: a variable kept here is gone the next time.

/** What the host calls: the interface notification-template of wit/boxoffice.wit, names in camelCase. */
export const notificationTemplate = {
  render({ kind, dataJson }, config) {
    if (kind !== "booking-confirmed") {
      // What is thrown here is the `err` of the WIT: a no, not a failure.
      throw "not mine";
    }
    const { greeting } = JSON.parse(config);
    const { event, recipient } = JSON.parse(dataJson);
    const line = `${greeting} ${recipient.name}, you are in: ${event.title}.`;
    return {
      subject: [...`Your tickets: ${event.title}`].slice(0, 200).join(""),
      text: line,
      html: `<p>${escaped(line)}</p>`,
    };
  },
};

/** Makes text safe inside HTML elements and quoted attributes. */
function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
