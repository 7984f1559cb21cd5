// The views: each answers the elements of one, after asking for what it shows.

import {
  state, h, number, moment, ago, millis, stateOf, done, say, ask, chart, progressOf, pages, needsTenant, confirm,
} from "./page.js";

export function lanes() {
  const box = h("div", {});
  const buttons = h("div", { class: "buttons" });
  state.onSight = (overview) => {
    laneButtons(overview, buttons);
    const cards = [];
    for (const lane of overview.lanes || []) cards.push(laneCard(lane, overview));
    if (overview.health) {
      const part = (health) => h("dd", {}, h("span", { class: health.answers ? "state sent" : "state dead" },
        health.answers ? `answers in ${health.tookMillis.toFixed(1)} ms` : "does not answer"));
      cards.push(h("section", { class: "card" }, h("h2", {}, "Health"), h("dl", {},
        h("dt", {}, "Database"), part(overview.health.database), h("dt", {}, "Queue"), part(overview.health.queue))));
    }
    const more = overview.isCut ? " or more" : "";
    cards.push(h("section", { class: "card" }, h("h2", {}, "Failed"), h("dl", {},
      h("dt", {}, "Dead"), h("dd", { id: "dead" }, `${number(overview.dead)}${more}`),
      h("dt", {}, "Unknown"), h("dd", {}, `${number(overview.unknown)}${more}`)),
      h("p", {}, h("a", { href: "#/failed" }, "Look at them"))));
    const alive = overview.workers.filter((worker) => worker.isAlive);
    const rate = state.rates.at(-1);
    cards.push(h("section", { class: "card" }, h("h2", {}, "Workers"),
      h("p", { class: "big" }, alive.length ? `${alive.length} alive` : "No workers"),
      h("p", {}, `${number(Math.round(rate ? rate.rate : 0))} mails a second`),
      chart("Mails a second lately", [state.rates.map((one) => one.rate)], (top) => String(Math.round(top))),
      h("details", {}, h("summary", {}, "Each of them"), h("ul", {}, overview.workers.map((worker) =>
        h("li", {}, `${worker.id}: ${worker.isAlive ? "alive" : "silent"} for ${ago(worker.isAlive ? worker.startedAt : worker.at)}, `
          + `${number(worker.sent)} sent, ${number(worker.deferred)} deferred, ${number(worker.refused)} refused`))))));
    const active = overview.active.map((one) => h("section", { class: "card" },
      h("h3", {}, h("a", { href: `#/notification/${one.id}` }, `${one.kind}`)), progressOf(one)));
    const open = box.querySelector("details[open]");
    // A part that somebody has opened or is in must not be swapped away under them.
    if (open || box.contains(document.activeElement)) return;
    box.replaceChildren(h("div", { class: "cards" }, cards),
      h("h2", {}, "Going out now"),
      active.length ? h("div", { class: "cards", id: "active" }, active)
        : h("p", { class: "soft" }, state.session.role === "operator" && !state.tenant ? "Name a tenant to see its notifications." : "Nothing."));
  };
  return [h("h1", {}, "Lanes"), box, buttons];
}

function laneCard(lane, overview) {
  const pace = overview.paces?.lanes.find((one) => one.lane === lane.lane);
  const paused = overview.pausedLanes.find((one) => one.lane === lane.lane);
  const points = state.paces.map((point) => point.lanes.find((one) => one.lane === lane.lane)).filter(Boolean);
  const quantiles = (p50, p95) => h("dd", {}, `${millis(p50)} / ${millis(p95)}`);
  return h("section", { class: "card" }, h("h2", {}, lane.lane, paused ? " " : "", paused ? h("span", { class: "state dead" }, "stopped") : ""), h("dl", {},
    h("dt", {}, "Waiting"), h("dd", {}, number(lane.waiting)),
    h("dt", {}, "In flight"), h("dd", {}, number(lane.inFlight)),
    h("dt", {}, "In the outbox"), h("dd", {}, `${number(lane.outboxEntries)}${lane.isCut ? " or more" : ""}`),
    h("dt", {}, "Later"), h("dd", {}, number(lane.later)),
    h("dt", {}, "Oldest"), h("dd", {}, lane.oldestAt ? ago(lane.oldestAt) : "–"),
    h("dt", {}, "Rate"), h("dd", {}, pace ? `${number(Math.round(pace.sentPerSecond))} a second` : "–"),
    h("dt", {}, "Wait p50 / p95"), quantiles(pace?.waitP50Millis, pace?.waitP95Millis),
    h("dt", {}, "Send p50 / p95"), quantiles(pace?.sendP50Millis, pace?.sendP95Millis)),
  chart(`${lane.lane}: mails a second, the last minutes`, [points.map((one) => one.sentPerSecond)], (top) => String(Math.round(top))),
  chart(`${lane.lane}: wait and send, 95 of 100, the last minutes`,
    [points.map((one) => one.waitP95Millis), points.map((one) => one.sendP95Millis)], millis));
}

/** Buttons that stop lanes, for operators. Separate from the parts that are redrawn every second; redrawn only when they change. */
function laneButtons(overview, box) {
  const stopped = (overview.lanes || []).map((lane) => [lane.lane, overview.pausedLanes.some((one) => one.lane === lane.lane)]);
  if (box.dataset.stopped === String(stopped)) return;
  box.dataset.stopped = String(stopped);
  box.replaceChildren(...stopped.map(([lane, is]) => (is ? laneButton(lane, "resume", "Let it go on") : laneButton(lane, "pause", "Stop the lane", "bad"))));
}

function laneButton(lane, verb, text, look) {
  const lines = verb === "pause" ? [`No worker sends anything more of the lane ${lane}, for any tenant, until an operator restarts it. Its mails wait in the database.`] : [];
  return h("button", { class: look, onclick: () => confirm(`${text}: ${lane}?`, lines, text, async (why) => {
    await ask("POST", `admin/lanes/${lane}/${verb}`, { why });
    say("Done; workers see it within seconds.");
  }) }, `${text}: ${lane}`);
}

export async function notifications() {
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

export async function notification(id) {
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
    const later = found.status === "scheduled" ? [steer("promote", "Send now"), h("button", { onclick: () => move(id, found.dueAt) }, "Move")] : [];
    buttons.replaceChildren(...(over ? [] : [
      found.isPaused ? steer("resume", "Resume") : steer("pause", "Pause"), ...later, steer("cancel", "Cancel for good", "bad")]));
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
    const live = state.overview && state.overview.active.find((one) => one.id === id);
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
  const all = h("div", {}, await pages(`notifications/${id}/deliveries`, deliveryRows, DELIVERY_HEADS, "None is listed yet."));
  const chosen = h("select", { id: "only-state", onchange: async () => {
    const only = chosen.value ? `?state=${chosen.value}` : "";
    all.replaceChildren(await pages(`notifications/${id}/deliveries${only}`, deliveryRows, DELIVERY_HEADS, "None."));
  } }, h("option", { value: "" }, "any"), ["queued", "sending", "sent", "deferred", "dead", "suppressed", "unknown"].map((name) => h("option", {}, name)));
  return [h("h1", {}, found.kind), box, buttons, h("h2", {}, "Failed"),
    await pages(`admin/notifications/${id}/failed`, deliveryRows, DELIVERY_HEADS, "No delivery of it has failed."),
    h("h2", {}, "All deliveries"), h("label", { for: "only-state" }, h("span", {}, "State"), chosen), all];
}

/** Asks for another time. */
function move(id, dueAt) {
  const local = new Date(Date.parse(dueAt) - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  const field = h("input", { type: "datetime-local", id: "due", required: true, value: local });
  confirm("Move it?", [h("label", { for: "due" }, h("span", {}, "Goes out at (your time zone)"), field)], "Move", async (why) => {
    await ask("POST", `admin/notifications/${id}/move`, { dueAt: new Date(field.value).toISOString(), why });
    say("Moved.");
    await state.show();
  });
}

export async function schedules() {
  const missing = needsTenant("Schedules");
  if (missing) return missing;
  const acts = state.session.role !== "staff";
  const now = (one) => h("button", { onclick: () => confirm("Send it now?", [], "Send now", async (why) => {
    await ask("POST", `admin/notifications/${one.id}/promote`, { why });
    say("It goes out now.");
    await state.show();
  }) }, "Send now");
  const cancel = (one) => h("button", { class: "bad", onclick: () => confirm("Cancel it for good?", [], "Cancel for good", async (why) => {
    await ask("POST", `admin/notifications/${one.id}/cancel`, { why });
    say("Cancelled.");
    await state.show();
  }) }, "Cancel for good");
  const rows = (items) => items.map((one) => h("tr", {}, h("td", {}, h("a", { href: `#/notification/${one.id}` }, one.kind), one.isPaused ? " (paused)" : ""),
    h("td", {}, h("a", { href: `#/event/${one.eventId}` }, one.eventId)), h("td", {}, moment(one.dueAt)),
    h("td", {}, acts ? h("div", { class: "buttons" }, now(one), h("button", { onclick: () => move(one.id, one.dueAt) }, "Move"), cancel(one)) : "")));
  return [h("h1", {}, "Schedules"), h("p", { class: "soft" }, "What has not begun to go out: reminders, and changes that wait for others. What is due first stands first."),
    await pages("admin/schedules", rows, ["What", "Event", "Due", "Do"], "Nothing is scheduled.")];
}

const DELIVERY_HEADS = ["Delivery", "State", "Tries", "Last word"];

function deliveryRows(items) {
  return items.map((one) => h("tr", {}, h("td", {}, h("a", { href: `#/delivery/${one.id}` }, one.kind), h("br", {}), moment(one.at || one.createdAt)),
    h("td", {}, stateOf(one.state), one.everUnknown && one.state !== "unknown" ? " (was unknown)" : ""),
    h("td", {}, number(one.attempts)), h("td", { class: "reply" }, one.reason || "–")));
}

export async function delivery(id) {
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

export async function failed(code = "") {
  const missing = needsTenant("Failed");
  if (missing) return missing;
  if (code) {
    return [h("h1", {}, `Failed with ${code}`), h("p", {}, h("a", { href: "#/failed" }, "All that failed")),
      await pages(`admin/failed?code=${encodeURIComponent(code)}`, deliveryRows, DELIVERY_HEADS, "Nothing has failed with this code.")];
  }
  const reasons = await ask("GET", "admin/reasons");
  const rows = reasons.groups.map((group) => h("tr", {}, h("td", { class: "reply" }, group.reason || "(nothing was said)"),
    h("td", {}, stateOf(group.state)), h("td", {}, number(group.count)),
    h("td", {}, h("a", { href: `#/delivery/${group.exampleId}` }, "one of them")),
    h("td", {}, state.session.role === "staff" ? "" : h("button", { onclick: () => retryAll(group) }, "Try all again"))));
  return [h("h1", {}, "Failed"), h("p", { class: "soft" }, "Given up, or perhaps sent. The newest 500 delivery batches are looked at.",
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
      await state.show();
    });
  } catch (error) {
    say(error.message);
  }
}

export async function search() {
  const missing = needsTenant("Search");
  if (missing) return missing;
  const field = h("input", { type: "text", id: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true });
  const results = h("div", { "aria-live": "polite" });
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      const found = await ask("POST", "admin/searches", { text: field.value });
      const place = found.failedCode ? `#/failed/${found.failedCode}` : found.userId ? `#/user/${found.userId}` : found.eventId ? `#/event/${found.eventId}`
        : found.notification ? `#/notification/${found.notification.id}` : `#/delivery/${found.delivery.id}`;
      location.hash = place;
    } catch (error) {
      results.replaceChildren(h("p", {}, error.message));
    }
  } }, h("label", { for: "text" }, h("span", {}, "Address, id, Message-ID or reply code"), field), h("button", { class: "main" }, "Find"));
  return [h("h1", {}, "Search"), form, results, h("h2", {}, "What can be found"), h("ul", {},
    ["A customer by their whole e-mail address or id: everything they were mailed.", "An event by its id: what its customers were told.",
      "A notification or a delivery by its id.", "A mail by its whole Message-ID.",
      "Deliveries that failed, by what the mail server's reply begins with: 550, 5, 5.1.1. They all stand under Failed.",
      "Nothing is searched by parts of words: each of these is a look-up in the ledger."].map((text) => h("li", {}, text)))];
}

export async function user(id) {
  return [h("h1", {}, "Mails of a customer"), h("p", { class: "soft" }, `Newest booking first. Customer ${id}`),
    await pages(`users/${encodeURIComponent(id)}/deliveries`, deliveryRows, DELIVERY_HEADS, "Nothing was mailed to this customer.")];
}

export async function event(id) {
  return [h("h1", {}, "What an event's customers were told"), h("p", { class: "soft" }, `Event ${id}`),
    await pages(`events/${encodeURIComponent(id)}/notifications`, headRows, ["What", "Status", "Recipients", "Due"], "Its customers were told nothing.")];
}

export async function plugins() {
  const missing = needsTenant("Plugins");
  if (missing) return missing;
  const overview = await ask("GET", "admin/plugins");
  const list = overview.items.map(({ uses, thisProcess: here }) => h("tr", {},
    h("td", {}, h("a", { href: `#/plugin/${encodeURIComponent(uses[0].name)}` }, uses[0].name)),
    h("td", {}, uses.map((one) => h("p", {}, `${one.version.slice(0, 12)} for ${one.eventId ? `event ${one.eventId}` : "all events"}: `, pluginState(one)))),
    h("td", {}, number(here.calls)), h("td", {}, failuresOf(here)),
    h("td", {}, here.microsecondsMean === null ? "–" : `${number(here.microsecondsMean)} / ${number(here.microsecondsMax)} µs`),
    h("td", { class: "reply" }, here.lastFailure ? [moment(here.lastFailureAt), " ", here.lastFailure] : "–")));
  return [h("h1", {}, "Plugins"), h("p", { class: "soft" }, "Calls are those of the host that answers this page, since it started; other hosts and workers count their own (/metrics has all)."), list.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Plugins" }, h("table", {}, h("thead", {}, h("tr", {},
    ["Name", "In use", "Calls", "Failures", "Time: mean / longest", "Last failure"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, list))) : h("p", { class: "soft" }, "No plugins are in use.")];
}

function pluginState(one) {
  if (one.quarantines.length) return one.quarantines.map((own) => h("span", { class: "state dead" },
    `${own.export} in quarantine, tried again from `, moment(own.nextTryAt), ` on: ${own.reason}`));
  return one.enabled ? h("span", { class: "state sent" }, "in use") : h("span", { class: "state paused" }, "off");
}

function failuresOf(here) {
  const { failed, inputTooLarge, busy, notLoaded } = here.failures;
  const parts = [[failed, "failed"], [inputTooLarge, "too large"], [busy, "host or tenant too busy"], [notLoaded, "not loaded"]].filter(([count]) => count);
  return parts.length ? parts.map(([count, what]) => `${number(count)} ${what}`).join(", ") : "none";
}

export async function plugin(name) {
  const logs = await ask("GET", `plugins/${encodeURIComponent(name)}/logs`);
  const lines = logs.items.map((one) => h("tr", {}, h("td", {}, moment(one.at)), h("td", {}, one.version.slice(0, 12)),
    h("td", { class: "reply" }, one.failure ? h("p", { class: "dead" }, one.failure) : null, one.lines.map((line) => h("p", {}, `${line.level}: ${line.message}`)))));
  return [h("h1", {}, `Plugin ${name}`), h("h2", {}, "Its latest log lines"), lines.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Log" },
    h("table", {}, h("thead", {}, h("tr", {}, ["When", "Version", "What"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, lines)))
    : h("p", { class: "soft" }, "It has logged nothing.")];
}

export async function audit() {
  const outside = state.session.role === "operator" && !state.tenant;
  return [h("h1", {}, "Audit"), h("p", { class: "soft" }, outside ? "What operators did to the lanes, newest first; name a tenant above for what was done there."
    : "What people did here, newest first. Entries are never changed."),
    await pages("admin/audit", (items) => items.map((one) => h("tr", {}, h("td", {}, moment(one.at)), h("td", {}, one.who),
      h("td", {}, one.action), h("td", { class: "reply" }, one.subject, one.count === null ? "" : ` (${number(one.count)})`), h("td", { class: "reply" }, one.why))),
      ["When", "Who", "What", "To what", "Why"], "Nobody has done anything yet.")];
}
