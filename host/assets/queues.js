// The dashboard of what goes out. Speaks to the interface like any other client: one stream for what moves, plain requests
// for the rest. Whatever comes from a mail server, a tenant or a customer becomes text, never markup: elements are made here
// by `h`, and nothing else makes any.

const API = "../api/";
const state = { session: null, sight: null, rates: [], progress: new Map(), stream: null, tenant: "", view: 0 };
const $ = (id) => document.getElementById(id);

/** Makes an element; strings become text. */
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const number = (value) => (value === null || value === undefined ? "?" : new Intl.NumberFormat().format(value));
const moment = (text) => (text ? h("time", { datetime: text }, new Date(text).toLocaleString()) : "–");
function ago(text) {
  if (!text) return "–";
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  return lasting(seconds);
}
function lasting(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
const stateOf = (name) => h("span", { class: `state ${name}` }, name);
const done = (counts) => counts.sent + counts.dead + counts.suppressed + counts.unknown;

function say(text) {
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => ($("said").textContent = ""), 6000);
}

// Asking

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code;
  }
}

async function ask(method, path, body, again = true) {
  const headers = { "X-CSRF-Token": state.session ? state.session.csrfToken : "" };
  if (state.tenant) headers["X-Tenant"] = state.tenant;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(API + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401 && again && (await refresh())) return ask(method, path, body, false);
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

async function session(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

async function refresh() {
  try {
    take(await session("POST", "session/refresh"));
    return true;
  } catch {
    signedOut();
    return false;
  }
}

function take(found) {
  state.session = found;
  clearTimeout(take.timer);
  // Well before the token is over; a page that sleeps asks again when it wakes.
  take.timer = setTimeout(refresh, (found.expiresInSeconds * 1000) / 2);
}

// What moves

async function watch() {
  stopWatching();
  const stopping = new AbortController();
  state.stream = stopping;
  while (!stopping.signal.aborted && state.session) {
    try {
      const headers = { "X-CSRF-Token": state.session.csrfToken };
      if (state.tenant) headers["X-Tenant"] = state.tenant;
      const answer = await fetch(`${API}admin/live`, { headers, signal: stopping.signal });
      if (answer.status === 401) {
        if (!(await refresh())) return;
        continue;
      }
      if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
      await read(answer.body.getReader());
    } catch (error) {
      if (stopping.signal.aborted) return;
      if (error.status === 403) return;
      $("alarm").textContent = "The live connection is down; trying again.";
    }
    await new Promise((wake) => setTimeout(wake, 2000));
  }
}

async function read(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done: over } = await reader.read();
    if (over) return;
    rest += decoder.decode(value, { stream: true });
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("");
      if (data) seen(JSON.parse(data));
    }
  }
}

function stopWatching() {
  if (state.stream) state.stream.abort();
  state.stream = null;
}

function seen(sight) {
  const at = Date.parse(sight.at);
  // Workers say every few seconds what they have sent since they started; a rate is what was added since.
  const sent = sight.workers.reduce((sum, worker) => sum + worker.sent, 0);
  const last = state.rates.at(-1);
  if (!last || last.sent !== sent || at - last.at > 6000) {
    const rate = last && at > last.at ? Math.max(0, (sent - last.sent) / ((at - last.at) / 1000)) : 0;
    state.rates.push({ at, sent, rate });
    if (state.rates.length > 60) state.rates.shift();
  }
  for (const notification of sight.active) {
    const before = state.progress.get(notification.id);
    const now = { at, done: done(notification.deliveries), rate: before ? before.rate : 0 };
    if (before && at > before.at) {
      const rate = (now.done - before.done) / ((at - before.at) / 1000);
      now.rate = before.rate * 0.7 + Math.max(0, rate) * 0.3;
    }
    state.progress.set(notification.id, now);
  }
  if (state.progress.size > 200) state.progress.clear();
  state.sight = sight;
  const alive = sight.workers.filter((worker) => worker.isAlive).length;
  $("alarm").textContent = alive ? "" : "No workers: nothing goes out until one runs.";
  if (state.onSight) state.onSight(sight);
}

// Views

const VIEWS = [
  ["", "Lanes", lanes],
  ["notifications", "Notifications", notifications],
  ["failed", "Failed", failed],
  ["search", "Search", search],
  ["plugins", "Plugins", plugins],
  ["audit", "Audit", audit],
];

async function show() {
  const view = ++state.view;
  state.onSight = null;
  if (!state.session) return signIn();
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const others = { notification, delivery, user, event, plugin };
  const found = VIEWS.find(([path]) => path === name);
  const make = found ? found[2] : others[name] || lanes;
  bar(found ? name : "");
  const main = $("main");
  let content;
  try {
    content = await make(...rest);
  } catch (error) {
    content = [h("h1", {}, "That did not work"), h("p", {}, error.message)];
    if (error.status === 401) return signedOut();
  }
  if (view !== state.view) return;
  main.replaceChildren(...content.flat());
  const title = main.querySelector("h1").textContent;
  document.title = `${title} · Boxoffice`;
  if (state.moved) main.focus({ preventScroll: true });
  state.moved = true;
  if (state.onSight && state.sight) state.onSight(state.sight);
}

function bar(current) {
  const { role, tenant, name } = state.session;
  const shown = VIEWS.filter(([path]) => {
    if (path === "audit") return role === "owner" || role === "operator";
    if (path === "plugins") return role === "owner" || role === "operator";
    return true;
  });
  $("nav").hidden = false;
  $("nav").replaceChildren(...shown.map(([path, text]) =>
    h("a", { href: `#/${path}`, "aria-current": path === current ? "page" : null }, text)));
  const parts = [h("span", {}, `${name || ""} ${role}${tenant ? ` of ${tenant}` : ""}`.trim())];
  if (role === "operator") {
    const field = h("input", { type: "text", id: "tenant", value: state.tenant, size: 12, placeholder: "all", autocomplete: "off" });
    parts.push(h("form", { onsubmit: (event) => {
      event.preventDefault();
      state.tenant = field.value.trim();
      watch();
      show();
    } }, h("label", { for: "tenant" }, h("span", {}, "Tenant"), field)));
  }
  parts.push(h("button", { onclick: signOut }, "Sign out"));
  $("who").replaceChildren(...parts);
}

/** Views of one tenant's things need to know which. */
function needsTenant(title) {
  if (state.session.role !== "operator" || state.tenant) return null;
  return [h("h1", {}, title), h("p", {}, "Name a tenant above: these belong to one.")];
}

function lanes() {
  const box = h("div", {});
  state.onSight = (sight) => {
    const cards = [];
    for (const lane of sight.lanes || []) {
      cards.push(h("section", { class: "card" }, h("h2", {}, lane.lane), h("dl", {},
        h("dt", {}, "Waiting"), h("dd", {}, number(lane.waiting)),
        h("dt", {}, "In flight"), h("dd", {}, number(lane.inFlight)),
        h("dt", {}, "Owed"), h("dd", {}, `${number(lane.owed)}${lane.isCut ? " or more" : ""}`),
        h("dt", {}, "Later"), h("dd", {}, number(lane.later)),
        h("dt", {}, "Oldest"), h("dd", {}, lane.oldestAt ? ago(lane.oldestAt) : "–"))));
    }
    const more = sight.isCut ? " or more" : "";
    cards.push(h("section", { class: "card" }, h("h2", {}, "Failed"), h("dl", {},
      h("dt", {}, "Dead"), h("dd", { id: "dead" }, `${number(sight.dead)}${more}`),
      h("dt", {}, "Unknown"), h("dd", {}, `${number(sight.unknown)}${more}`)),
      h("p", {}, h("a", { href: "#/failed" }, "Look at them"))));
    const alive = sight.workers.filter((worker) => worker.isAlive);
    const rate = state.rates.at(-1);
    cards.push(h("section", { class: "card" }, h("h2", {}, "Workers"),
      h("p", { class: "big" }, alive.length ? `${alive.length} alive` : "No workers"),
      h("p", {}, `${number(Math.round(rate ? rate.rate : 0))} mails a second`), chart(state.rates.map((one) => one.rate)),
      h("details", {}, h("summary", {}, "Each of them"), h("ul", {}, sight.workers.map((worker) =>
        h("li", {}, `${worker.id}: ${worker.isAlive ? "alive" : "silent"} for ${ago(worker.isAlive ? worker.startedAt : worker.at)}, `
          + `${number(worker.sent)} sent, ${number(worker.deferred)} deferred, ${number(worker.refused)} refused`))))));
    const active = sight.active.map((one) => h("section", { class: "card" },
      h("h3", {}, h("a", { href: `#/notification/${one.id}` }, `${one.kind}`)), progressOf(one)));
    const open = box.querySelector("details[open]");
    // A part that somebody has opened or is in must not be swapped away under them.
    if (open || box.contains(document.activeElement)) return;
    box.replaceChildren(h("div", { class: "cards" }, cards),
      h("h2", {}, "Going out now"),
      active.length ? h("div", { class: "cards", id: "active" }, active)
        : h("p", { class: "soft" }, state.session.role === "operator" && !state.tenant ? "Name a tenant to see its notifications." : "Nothing."));
  };
  return [h("h1", {}, "Lanes"), box];
}

function chart(values) {
  const top = Math.max(1, ...values);
  const points = values.map((value, index) => `${(index / Math.max(1, values.length - 1)) * 100},${30 - (value / top) * 28}`);
  const picture = svg("svg", { class: "chart", viewBox: "0 0 100 31", preserveAspectRatio: "none", role: "img",
    "aria-label": `Mails a second lately, at most ${Math.round(top)}` });
  picture.append(svg("polyline", { points: points.join(" ") }));
  return picture;
}

function progressOf(one) {
  const counts = one.deliveries;
  const total = Math.max(one.recipients, done(counts) + counts.queued + counts.sending + counts.deferred);
  const known = state.progress.get(one.id);
  const left = total - done(counts);
  const eta = known && known.rate > 0.05 && left > 0 ? `about ${lasting(left / known.rate)} left` : "";
  return [
    h("progress", { max: Math.max(1, total), value: done(counts), "aria-label": "Deliveries that are done" }),
    h("p", {}, `${number(done(counts))} of ${number(total)} done`, eta ? `, ${eta}` : "", one.isPaused ? ", " : "",
      one.isPaused ? h("span", { class: "state paused" }, "paused") : null),
    h("p", { class: "soft" }, `${number(counts.sent)} sent, ${number(counts.queued + counts.sending)} waiting, `
      + `${number(counts.deferred)} deferred, ${number(counts.dead)} dead, ${number(counts.unknown)} unknown, ${number(counts.suppressed)} suppressed`),
  ];
}

async function notifications() {
  const missing = needsTenant("Notifications");
  if (missing) return missing;
  return [h("h1", {}, "Notifications"), h("p", { class: "soft" }, "Newest first; those that are due later are scheduled. Mails about one booking are no notifications: search for the customer."),
    await pages("admin/notifications", headRows, ["What", "Status", "Recipients", "Due"])];
}

function headRows(items) {
  return items.map((one) => h("tr", {},
    h("td", {}, h("a", { href: `#/notification/${one.id}` }, one.kind)),
    h("td", {}, h("span", { class: one.isPaused ? "state paused" : "state" }, one.isPaused ? "paused" : one.status)),
    h("td", {}, number(one.recipients)), h("td", {}, moment(one.dueAt))));
}

/** A table that is filled page by page. */
async function pages(path, rows, heads, empty = "Nothing here.") {
  const body = h("tbody", {});
  const more = h("button", {}, "More");
  const box = h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), body)), more);
  let cursor = null;
  const next = async () => {
    const page = await ask("GET", `${path}?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    body.append(...rows(page.items));
    cursor = page.nextCursor;
    more.hidden = !cursor;
    return page.items.length;
  };
  more.addEventListener("click", () => next().catch((error) => say(error.message)));
  const count = await next();
  return count || cursor ? box : h("p", { class: "soft" }, empty);
}

async function notification(id) {
  const box = h("div", { class: "card" });
  const buttons = h("div", { class: "buttons" });
  let status = "";
  const draw = (found) => {
    box.replaceChildren(h("dl", {}, h("dt", {}, "Status"), h("dd", { id: "status" }, found.isPaused ? "paused" : found.status),
      h("dt", {}, "Event"), h("dd", {}, h("a", { href: `#/event/${found.eventId}` }, found.eventId)),
      h("dt", {}, "Caused"), h("dd", {}, moment(found.createdAt)), h("dt", {}, "Due"), h("dd", {}, moment(found.dueAt))), ...progressOf(found));
    const now = found.isPaused ? "paused" : found.status;
    if (now === status) return;
    status = now;
    const over = found.status === "superseded" || found.status === "cancelled" || state.session.role === "staff";
    buttons.replaceChildren(...(over ? [] : [
      found.isPaused ? steer("resume", "Resume") : steer("pause", "Pause"), steer("cancel", "Cancel for good", "bad")]));
  };
  const steer = (verb, text, look) => h("button", { class: look, onclick: () => confirm(`${text}?`, [], text, async (why) => {
    await ask("POST", `admin/notifications/${id}/${verb}`, { why });
    say("Done.");
    draw(await ask("GET", `notifications/${id}`));
  }) }, text);
  const found = await ask("GET", `notifications/${id}`);
  draw(found);
  let tick = 0;
  const timer = setInterval(async () => {
    if (!box.isConnected) return clearInterval(timer);
    const live = state.sight && state.sight.active.find((one) => one.id === id);
    if (live) return draw(live);
    // Not in the stream: done with, about to be in it, or too old for it. Asked for now and then until it is over.
    tick += 1;
    if (tick % 3 !== 1) return;
    try {
      const now = await ask("GET", `notifications/${id}`);
      draw(now);
      const { queued, sending, deferred } = now.deliveries;
      if (!["scheduled", "fanning-out"].includes(now.status) && queued + sending + deferred === 0) clearInterval(timer);
    } catch (error) {
      clearInterval(timer);
      say(error.message);
    }
  }, 1000);
  return [h("h1", {}, found.kind), box, buttons, h("h2", {}, "Failed"),
    await pages(`admin/notifications/${id}/failed`, deliveryRows, DELIVERY_HEADS, "No delivery of it has failed."),
    h("h2", {}, "All deliveries"), await pages(`notifications/${id}/deliveries`, deliveryRows, DELIVERY_HEADS, "None is listed yet.")];
}

const DELIVERY_HEADS = ["Delivery", "State", "Tries", "Last word"];
function deliveryRows(items) {
  return items.map((one) => h("tr", {}, h("td", {}, h("a", { href: `#/delivery/${one.id}` }, one.kind), h("br", {}), moment(one.at || one.createdAt)),
    h("td", {}, stateOf(one.state), one.everUnknown && one.state !== "unknown" ? " (was unknown)" : ""),
    h("td", {}, number(one.attempts)), h("td", { class: "reply" }, one.reason || "–")));
}

async function delivery(id) {
  const box = h("div", {});
  const draw = async () => {
    const one = await ask("GET", `admin/deliveries/${id}`);
    const attempts = one.earlier.map((attempt) => [attempt.at, attempt.state, attempt.reply]);
    if (one.at) attempts.push([one.at, one.state, one.reason || ""]);
    const retry = ["dead", "unknown"].includes(one.state) && state.session.role !== "staff"
      ? h("button", { class: "main", id: "retry", onclick: () => confirm("Try this delivery again?",
        one.state === "unknown" ? ["It was perhaps sent: the customer may get it twice."] : [], "Try again", async (why) => {
          const sum = await ask("POST", "admin/retries", { deliveryId: id, state: one.state, why });
          say(sum.retried ? "It waits for a worker." : "It is in a worker's hand; try again.");
          await draw();
        }) }, "Try again") : null;
    box.replaceChildren(h("div", { class: "card" }, h("dl", {}, h("dt", {}, "State"), h("dd", { id: "state" }, stateOf(one.state), one.everUnknown && one.state !== "unknown" ? " (was unknown)" : ""),
      h("dt", {}, "Customer"), h("dd", {}, h("a", { href: `#/user/${one.customerId}` }, one.customerId)),
      h("dt", {}, "Event"), h("dd", {}, one.eventId ? h("a", { href: `#/event/${one.eventId}` }, one.eventId) : "none"),
      h("dt", {}, "Tries"), h("dd", {}, number(one.attempts)), h("dt", {}, "Workers lost"), h("dd", {}, number(one.lost)),
      h("dt", {}, "Next try"), h("dd", {}, moment(one.nextAt)), h("dt", {}, "Message-ID"), h("dd", {}, one.messageId))),
      h("div", { class: "buttons" }, retry), h("h2", {}, "What happened"),
      h("ol", { class: "timeline" }, h("li", {}, moment(one.createdAt), " ", "listed"),
        attempts.map(([at, how, reply]) => h("li", {}, moment(at), " ", stateOf(how), h("pre", {}, reply))),
        one.at || !one.reason ? null : h("li", {}, one.reason)));
    return one;
  };
  const one = await draw();
  const timer = setInterval(async () => {
    if (!box.isConnected) return clearInterval(timer);
    const before = box.querySelector("#state")?.textContent || "";
    if (/^(sent|dead|suppressed|unknown)/.test(before)) return;
    await draw().catch(() => clearInterval(timer));
  }, 2000);
  return [h("h1", {}, `Delivery: ${one.kind}`), box];
}

async function failed() {
  const missing = needsTenant("Failed");
  if (missing) return missing;
  const reasons = await ask("GET", "admin/reasons");
  const rows = reasons.groups.map((group) => h("tr", {}, h("td", { class: "reply" }, group.reason || "(nothing was said)"),
    h("td", {}, stateOf(group.state)), h("td", {}, number(group.count)),
    h("td", {}, h("a", { href: `#/delivery/${group.exampleId}` }, "one of them")),
    h("td", {}, state.session.role === "staff" ? "" : h("button", { onclick: () => retryAll(group) }, "Try all again"))));
  return [h("h1", {}, "Failed"), h("p", { class: "soft" }, "Given up, or perhaps sent. The newest 500 blocks of deliveries are looked at.",
    reasons.isCut ? " There are more." : ""),
    h("h2", {}, "By reason"), rows.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Reasons" }, h("table", {}, h("thead", {}, h("tr", {},
      ["Reason", "State", "How many", "Example", "Do"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)))
      : h("p", { class: "soft" }, "Nothing has failed."),
    h("h2", {}, "Each"), await pages("admin/failed", deliveryRows, DELIVERY_HEADS, "Nothing has failed.")];
}

async function retryAll(group) {
  const body = { state: group.state, reason: group.reason };
  try {
    const sum = await ask("POST", "admin/retries", { ...body, dryRun: true, why: "counting" });
    const lines = [`${number(sum.matched)} deliveries${sum.isCut ? ", and more behind them," : ""} would be tried again.`];
    if (group.state === "unknown") lines.push("They were perhaps sent: customers may get a mail twice.");
    confirm("Try all of these again?", lines, "Try again", async (why) => {
      const done = await ask("POST", "admin/retries", { ...body, why });
      say(`${number(done.retried)} wait for a worker${done.busy ? `, ${number(done.busy)} are in a worker's hand` : ""}.`);
      await show();
    });
  } catch (error) {
    say(error.message);
  }
}

async function search() {
  const missing = needsTenant("Search");
  if (missing) return missing;
  const field = h("input", { type: "text", id: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true });
  const results = h("div", { "aria-live": "polite" });
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      const found = await ask("POST", "admin/searches", { text: field.value });
      const place = found.userId ? `#/user/${found.userId}` : found.eventId ? `#/event/${found.eventId}`
        : found.notification ? `#/notification/${found.notification.id}` : `#/delivery/${found.delivery.id}`;
      location.hash = place;
    } catch (error) {
      results.replaceChildren(h("p", {}, error.message));
    }
  } }, h("label", { for: "text" }, h("span", {}, "Address, id or Message-ID"), field), h("button", { class: "main" }, "Find"));
  return [h("h1", {}, "Search"), form, results, h("h2", {}, "What can be found"), h("ul", {},
    ["A customer by their whole e-mail address or id: everything they were mailed.", "An event by its id: what its customers were told.",
      "A notification or a delivery by its id.", "A mail by its whole Message-ID.",
      "Deliveries that failed stand under Failed. Nothing is searched by parts of words: each of these is one look-up in the ledger."].map((text) => h("li", {}, text)))];
}

async function user(id) {
  return [h("h1", {}, "Mails of a customer"), h("p", { class: "soft" }, `Newest booking first. Customer ${id}`),
    await pages(`users/${encodeURIComponent(id)}/deliveries`, deliveryRows, DELIVERY_HEADS, "Nothing was mailed to this customer.")];
}

async function event(id) {
  return [h("h1", {}, "What an event's customers were told"), h("p", { class: "soft" }, `Event ${id}`),
    await pages(`events/${encodeURIComponent(id)}/notifications`, headRows, ["What", "Status", "Recipients", "Due"], "Its customers were told nothing.")];
}

async function plugins() {
  const missing = needsTenant("Plugins");
  if (missing) return missing;
  const set = await ask("GET", "plugins");
  const list = set.items.map((one) => h("tr", {}, h("td", {}, h("a", { href: `#/plugin/${encodeURIComponent(one.name)}` }, one.name)),
    h("td", {}, one.version.slice(0, 12)), h("td", {}, one.eventId ? `event ${one.eventId}` : "all events"),
    h("td", {}, one.quarantineReason ? h("span", { class: "state dead" }, `in quarantine: ${one.quarantineReason}`) : one.enabled ? "in use" : "off")));
  return [h("h1", {}, "Plugins"), list.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Plugins" }, h("table", {}, h("thead", {}, h("tr", {},
    ["Name", "Version", "For", "State"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, list))) : h("p", { class: "soft" }, "No plugins are in use.")];
}

async function plugin(name) {
  const logs = await ask("GET", `plugins/${encodeURIComponent(name)}/logs`);
  const lines = logs.items.map((one) => h("tr", {}, h("td", {}, moment(one.at)), h("td", {}, one.version.slice(0, 12)),
    h("td", { class: "reply" }, one.failure ? h("p", { class: "dead" }, one.failure) : null, one.lines.map((line) => h("p", {}, `${line.level}: ${line.message}`)))));
  return [h("h1", {}, `Plugin ${name}`), h("h2", {}, "Its latest log lines"), lines.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Log" },
    h("table", {}, h("thead", {}, h("tr", {}, ["When", "Version", "What"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, lines)))
    : h("p", { class: "soft" }, "It has logged nothing.")];
}

async function audit() {
  const missing = needsTenant("Audit");
  if (missing) return missing;
  return [h("h1", {}, "Audit"), h("p", { class: "soft" }, "What people did here, newest first. Entries are never changed."),
    await pages("admin/audit", (items) => items.map((one) => h("tr", {}, h("td", {}, moment(one.at)), h("td", {}, one.who),
      h("td", {}, one.action), h("td", { class: "reply" }, one.subject, one.count === null ? "" : ` (${number(one.count)})`), h("td", { class: "reply" }, one.why))),
      ["When", "Who", "What", "To what", "Why"], "Nobody has done anything yet.")];
}

/** Asks whether, and why; `act` gets the reason. */
function confirm(title, lines, yes, act) {
  const dialog = $("ask");
  const why = h("input", { type: "text", id: "why", required: true, maxlength: 200, autocomplete: "off" });
  const wrong = h("p", { role: "alert", class: "dead" });
  const go = h("button", { class: "main" }, yes);
  dialog.replaceChildren(h("form", { onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      await act(why.value);
      dialog.close();
    } catch (error) {
      wrong.textContent = error.message;
    }
    go.disabled = false;
  } }, h("h2", { id: "ask-title" }, title), lines.map((line) => h("p", {}, line)),
  h("label", { for: "why" }, h("span", {}, "Why (kept in the audit)"), why), wrong,
  h("div", { class: "buttons" }, go, h("button", { type: "button", onclick: () => dialog.close() }, "No"))));
  dialog.showModal();
  why.focus();
}

// Signing in and out

function signIn() {
  stopWatching();
  $("nav").hidden = true;
  $("who").replaceChildren();
  $("alarm").textContent = "";
  const email = h("input", { type: "email", id: "email", required: true, autocomplete: "username" });
  const password = h("input", { type: "password", id: "password", required: true, autocomplete: "current-password" });
  const tenant = h("input", { type: "text", id: "sign-in-tenant", autocomplete: "organization", autocapitalize: "none" });
  const operator = h("input", { type: "checkbox", id: "operator" });
  const wrong = h("p", { role: "alert", class: "dead" });
  $("main").replaceChildren(h("h1", {}, "Sign in"), h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      const body = { email: email.value, password: password.value, operator: operator.checked };
      if (tenant.value.trim() && !operator.checked) body.tenant = tenant.value.trim();
      take(await session("POST", "session", body));
      watch();
      await show();
    } catch (error) {
      wrong.textContent = error.message;
    }
  } }, h("label", { for: "email" }, h("span", {}, "E-mail address"), email),
  h("label", { for: "password" }, h("span", {}, "Password"), password),
  h("label", { for: "sign-in-tenant" }, h("span", {}, "Tenant (if there are several here)"), tenant),
  h("label", { for: "operator" }, operator, " I am an operator of this installation"), wrong,
  h("button", { class: "main" }, "Sign in")));
  document.title = "Sign in · Boxoffice";
}

function signedOut() {
  clearTimeout(take.timer);
  state.session = null;
  state.sight = null;
  state.rates = [];
  signIn();
}

async function signOut() {
  await session("DELETE", "session").catch(() => null);
  signedOut();
}

window.addEventListener("hashchange", show);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && state.session) refresh();
});
try {
  // Nobody is asked to sign in who is; nobody who is not sees an error for it.
  const found = await session("GET", "session");
  if (found.csrfToken) take(found);
  else if (found.mayRefresh) await refresh();
  if (state.session) watch();
} catch {
  state.session = null;
}
show();
