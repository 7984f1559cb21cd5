// The audit: who did what, and why. It is kept in full; the filters look through it from the newest entry on.

import { BASE, ask, isRole, state } from "./api.js";
import { empty, eventName, h, head, moment, number, row, typed, userName, words } from "./page.js";
import { choice, field, fileButton, line, pages, soon } from "./parts.js";

const wanted = { text: "", action: "", from: "", until: "" };

/** What has been seen of actions; more appear as they are found. */
const ACTIONS = ["pause", "resume", "cancel", "promote", "move", "retry", "pause-lane", "resume-lane", "create-key", "revoke-key", "invite", "withdraw-invitation",
  "change-user", "change-team", "erase-user", "set-identity-provider", "remove-identity-provider"];

/** The keys that there are, for their names; entries about others stand without. */
let keys = [];

export async function view() {
  const outside = isRole("operator") && !state.tenant;
  keys = outside ? [] : (await ask("GET", "keys")).items;
  const box = h("div", { "aria-live": "polite" });
  let newest = 0;
  const draw = async () => {
    const own = (newest += 1);
    const isFiltered = Object.values(wanted).some(Boolean);
    const none = isFiltered ? empty("Nothing fits these filters", "They looked through the newest thousand entries.") : empty("Nobody has done anything yet.");
    const found = await pages("admin/audit", entryRows, ["What", "Who", "To what, and why"], none, { label: "Audit", only: isFiltered ? fits : null })
      .catch((error) => h("p", { class: "wrong", role: "alert" }, error.message));
    if (own === newest) box.replaceChildren(found);
  };
  const keep = (name, input) => {
    const act = soon(draw);
    input.value = wanted[name];
    input.addEventListener("input", () => {
      wanted[name] = input.value;
      act();
    });
    return input;
  };
  await draw();
  return [head("Audit", { lead: outside ? "What operators did to the lanes. Choose a tenant for what was done there." : "What people and programs did here. Entries are never changed.",
    actions: [fileButton("Export (CSV)", "admin/audit/export?format=csv", "audit.csv")] }),
  h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() }, field("Contains", keep("text", line({ type: "search", placeholder: "Who, what or why" }))),
    field("Action", keep("action", choice([["", "Any"], ...ACTIONS.map((name) => [name, words(name)])], ""))),
    field("From", keep("from", h("input", { type: "date" }))), field("Until", keep("until", h("input", { type: "date" })))), box];
}

function fits(entry) {
  const text = `${entry.who} ${entry.action} ${words(entry.action)} ${entry.subject} ${entry.why}`.toLowerCase();
  const at = Date.parse(entry.at);
  return (!wanted.text || text.includes(wanted.text.toLowerCase())) && (!wanted.action || entry.action === wanted.action)
    && (!wanted.from || at >= Date.parse(`${wanted.from}T00:00:00`)) && (!wanted.until || at <= Date.parse(`${wanted.until}T23:59:59.999`));
}

const entryRows = (items) => items.map((one) => row([words(one.action), h("span", { class: "sub" }, moment(one.at))], who(one.who),
  [named(one.subject), one.count === null ? null : `, ${number(one.count)} deliveries`, one.why ? h("span", { class: "sub" }, typed(one.why)) : null]));

/** A role, and who: the role below the name. */
function who(text) {
  const [role, ...name] = text.split(" ");
  if (name.join(" ").includes("@")) return [typed(name.join(" ")), h("span", { class: "sub" }, words(role))];
  return text.startsWith("API key ") ? named(text) : typed(words(text));
}

/** An id with what it is, as a name; what has a page is a link to it. */
const NAMED = {
  notification: (id) => h("a", { href: `${BASE}queues#/notification/${id}`, title: id }, "Notification"),
  delivery: (id) => h("a", { href: `${BASE}queues#/delivery/${id}`, title: id }, "Mail"),
  event: (id) => eventName(id),
  user: (id) => userName(id),
  invitation: (id) => h("span", { title: id }, "Invitation"),
  "API key": (id) => {
    const key = keys.find((one) => one.id === id);
    return h("span", { title: id }, key ? ["API key ", typed(key.name)] : "API key");
  },
};

function named(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(/(notification|delivery|event|user|invitation|API key) ([0-9A-Za-z][\w.-]{7,})/g)) {
    parts.push(text.slice(end, match.index), NAMED[match[1]](match[2]));
    end = match.index + match[0].length;
  }
  return parts.length ? [...parts, text.slice(end)] : typed(words(text));
}
