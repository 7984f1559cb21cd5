// Mails to single customers: what failed and why, one delivery with its attempts, a customer's mails, and the search.

import { BASE, ask, isRole, lookUp, state } from "./api.js";
import { badge, empty, eventName, facts, h, head, moment, number, person, row, say, table, typed, words } from "./page.js";
import { confirm, field, line, pages } from "./parts.js";

export const DELIVERY_HEADS = ["Mail", "To", "State", "-Tries", "-Last word"];
const mails = (path) => `${BASE}queues#/${path}`;
const stateOf = (one) => [badge(one.state), one.everUnknown && one.state !== "unknown" ? h("span", { class: "sub" }, "was unknown") : null];

export const deliveryRows = (items) => items.map((one) => row([h("a", { href: mails(`delivery/${one.id}`) }, words(one.kind)), h("span", { class: "sub" }, moment(one.at || one.createdAt))],
  person(one.customer, mails(`user/${one.customerId}`)), stateOf(one), number(one.attempts), one.reason ? h("span", { class: "reply" }, one.reason) : "–"));

export const deliveries = (path, none) => pages(path, deliveryRows, DELIVERY_HEADS, none, { label: "Deliveries" });

// One delivery

export async function delivery(id) {
  const box = h("div", {});
  const draw = async () => {
    const one = await ask("GET", `admin/deliveries/${id}`);
    box.replaceChildren(...deliveryParts(one, id, draw));
    return one;
  };
  const one = await draw();
  const timer = setInterval(async () => {
    if (!box.isConnected) return clearInterval(timer);
    if (/^(sent|dead|suppressed|unknown)$/.test(box.querySelector("#state")?.dataset.state || "")) return;
    await draw().catch(() => clearInterval(timer));
  }, 2000);
  return [head([words(one.kind), " to ", typed(one.customer?.name || "a deleted account")], { over: "Mail to one customer" }), box];
}

function deliveryParts(one, id, draw) {
  const attempts = one.earlier.map((attempt) => [attempt.at, attempt.state, attempt.reply]);
  if (one.at) attempts.push([one.at, one.state, one.reason || ""]);
  const retry = h("button", { class: "main", id: "retry", type: "button", onclick: () => confirm("Try this delivery again?",
    one.state === "unknown" ? ["It was perhaps sent: the customer may get it twice."] : [], "Try again", async (why) => {
      const sum = await ask("POST", "admin/retries", { deliveryId: id, state: one.state, why });
      say(sum.retried ? "It waits for a worker." : "A worker is sending it; try again.");
      await draw();
    }) }, "Try again");
  const mayRetry = ["dead", "unknown"].includes(one.state) && !isRole("staff");
  return [h("div", { class: "card" }, facts(["State", h("span", { id: "state", "data-state": one.state }, stateOf(one))],
    ["Customer", person(one.customer, mails(`user/${one.customerId}`))], ["Event", eventName(one.eventId)],
    ["Tries", number(one.attempts)], one.lost ? ["Workers that died with it", number(one.lost)] : null,
    one.nextAt ? ["Next try", moment(one.nextAt)] : null, ["Message-ID", h("code", {}, one.messageId)])),
  mayRetry ? h("div", { class: "buttons" }, retry) : "", h("h2", {}, "What happened"),
  h("ol", { class: "timeline" }, h("li", {}, moment(one.createdAt), " ", badge("listed")),
    attempts.map(([at, how, reply]) => h("li", {}, moment(at), " ", badge(how), reply ? h("pre", {}, reply) : null)),
    one.at || !one.reason ? null : h("li", {}, one.reason))];
}

// What failed

export async function failed(code = "") {
  if (code) {
    return [head(`Failed with ${code}`, { over: h("a", { href: mails("failed") }, "All that failed") }),
      await deliveries(`admin/failed?code=${encodeURIComponent(code)}`, empty("Nothing has failed with this code."))];
  }
  const reasons = await ask("GET", "admin/reasons");
  const rows = reasons.groups.map((group) => row([h("span", { class: "reply" }, group.reason || "(nothing was said)"), h("span", { class: "sub" }, h("a", { href: mails(`delivery/${group.exampleId}`) }, "one of them"))],
    badge(group.state), number(group.count), isRole("staff") ? "" : h("button", { type: "button", onclick: () => retryAll(group) }, "Try all again")));
  if (!rows.length) return [head("Failed"), h("h2", {}, "By reason"), empty("Nothing has failed.", "Mails that were given up, or perhaps sent, stand here with what the mail server said.")];
  return [head("Failed", { lead: ["Given up, or perhaps sent. The newest 500 delivery batches are looked at.", reasons.isCut ? " There are more." : ""] }),
    h("h2", {}, "By reason"), table("Reasons", ["Reason", "State", "How many", ""], rows).box,
    h("h2", {}, "Each"), await deliveries("admin/failed", empty("Nothing has failed."))];
}

async function retryAll(group) {
  const body = { state: group.state, reason: group.reason };
  try {
    const sum = await ask("POST", "admin/retries", { ...body, dryRun: true, why: "counting" });
    const lines = [`${number(sum.matched)} deliveries${sum.isCut ? ", and more behind them," : ""} would be tried again.`];
    if (group.state === "unknown") lines.push("They were perhaps sent: customers may get a mail twice.");
    confirm("Try all of these again?", lines, "Try again", async (why) => {
      const made = await ask("POST", "admin/retries", { ...body, why });
      say(`${number(made.retried)} wait for a worker${made.busy ? `, ${number(made.busy)} are being sent` : ""}.`);
      await state.show();
    });
  } catch (error) {
    say(error.message);
  }
}

// Finding

const FINDS = ["A customer by their whole e-mail address, their id or a booking number: everything they were mailed.", "An event by its id: what its customers were told.",
  "A notification or a delivery by its id.", "A mail by its whole Message-ID.", "Deliveries that failed, by what the mail server's reply begins with: 550, 5, 5.1.1.",
  "Nothing is searched by parts of words: each of these is a look-up by key."];

export function search() {
  const text = line({ id: "text", autocapitalize: "none", spellcheck: "false", required: true });
  const results = h("div", { "aria-live": "polite" });
  const form = h("form", { class: "filters", role: "search", onsubmit: async (event) => {
    event.preventDefault();
    results.replaceChildren();
    try {
      const found = await ask("POST", "admin/searches", { text: text.value });
      location.hash = found.failedCode ? `#/failed/${found.failedCode}` : found.userId ? `#/user/${found.userId}` : found.eventId ? `#/event/${found.eventId}`
        : found.notification ? `#/notification/${found.notification.id}` : `#/delivery/${found.delivery.id}`;
    } catch (error) {
      results.replaceChildren(empty("Nothing was found", error.message));
    }
  } }, field("Address, id, booking number, Message-ID or reply code", text), h("button", { class: "main" }, "Find"));
  return [head("Search"), form, results, h("h2", {}, "What can be found"), h("ul", { class: "prose" }, FINDS.map((one) => h("li", {}, one)))];
}

/** Everything that a customer was mailed. */
export async function user(id) {
  let who = null;
  const list = await pages(`users/${encodeURIComponent(id)}/deliveries`, (items) => {
    who ||= items[0]?.customer || null;
    return items.map((one) => row([h("a", { href: mails(`delivery/${one.id}`) }, words(one.kind)), h("span", { class: "sub" }, moment(one.at || one.createdAt))],
      eventName(one.eventId), stateOf(one), number(one.attempts), one.reason ? h("span", { class: "reply" }, one.reason) : "–"));
  }, ["Mail", "About", "State", "-Tries", "-Last word"], empty("Nothing was mailed to this customer."), { label: "Deliveries" });
  if (!who && isRole("owner", "staff", "operator")) who = await lookUp(`users/${encodeURIComponent(id)}`);
  return [head(who ? typed(who.name) : "A customer", { over: "Mails of a customer", lead: who ? typed(who.email) : null }), h("p", { class: "soft" }, "The newest booking first."), list];
}
