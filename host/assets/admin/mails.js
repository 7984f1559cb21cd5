// Mails: the lanes as they move, notifications to many with what can be done about them, and what is due later.
// What concerns single customers is in deliveries.js.

import { BASE, ask, isRole, lookUp, state, tenantShown } from "./api.js";
import { ago, badge, chart, empty, eventName, facts, h, head, isGoing, millis, moment, number, progressOf, row, say, typed, words } from "./page.js";
import { choice, confirm, field, needsTenant, pages } from "./parts.js";
import { deliveries, delivery, failed, search, user } from "./deliveries.js";

const TABS = [["", "Lanes", lanes], ["notifications", "Notifications", notifications], ["schedules", "Schedules", schedules], ["failed", "Failed", failed], ["search", "Search", search]];
const OTHERS = { notification, delivery, user, event };
const mails = (path) => (path ? `${BASE}queues#/${path}` : `${BASE}queues#/`);

export async function view([name, ...rest]) {
  const tab = TABS.find(([path]) => path === name);
  const make = tab ? tab[2] : OTHERS[name] || lanes;
  const title = tab ? tab[1] : "Mails";
  const missing = make === lanes ? null : await needsTenant(title);
  const tabs = h("nav", { class: "tabs", "aria-label": "Mails" }, TABS.map(([path, text]) =>
    h("a", { href: mails(path), "aria-current": tab && path === name ? "page" : null }, text)));
  return [tabs, missing || await make(...rest)];
}

// Lanes

function lanes() {
  const box = h("div", {});
  const buttons = h("div", { class: "buttons" });
  state.onSight = (overview) => {
    laneButtons(overview, buttons);
    // A part that somebody has opened or is in must not be swapped away under them.
    if (box.querySelector("details[open]") || box.contains(document.activeElement)) return;
    const cards = (overview.lanes || []).map((lane) => laneCard(lane, overview));
    if (overview.health) cards.push(healthCard(overview.health));
    cards.push(failedCard(overview), workersCard(overview));
    const active = overview.active.filter(isGoing).map((one) => h("section", { class: "card" }, h("h3", {}, h("a", { href: mails(`notification/${one.id}`) }, words(one.kind))),
      h("p", { class: "sub" }, eventName(one.eventId)), progressOf(one)));
    box.replaceChildren(h("div", { class: "cards" }, cards), h("h2", {}, "Going out now"),
      active.length ? h("div", { class: "cards", id: "active" }, active)
        : tenantShown() ? empty("Nothing is going out.") : empty("Choose a tenant to see its notifications."));
  };
  box.append(h("div", { class: "skeleton", "aria-hidden": "true" }, h("span"), h("span"), h("span")));
  return [head("Lanes", { lead: "What goes out now, in two lanes: mails about one booking overtake mails to many." }), box, buttons];
}

function healthCard(health) {
  const part = (one) => [badge(one.answers ? "alive" : "failed", one.answers ? "Answers" : "Does not answer"), one.answers ? ` in ${one.tookMillis.toFixed(1)} ms` : ""];
  return h("section", { class: "card" }, h("h2", {}, "Health"), facts(["Database", part(health.database)], ["Queue", part(health.queue)]));
}

function failedCard(overview) {
  const more = overview.isCut ? " or more" : "";
  return h("section", { class: "card" }, h("h2", {}, "Failed"), facts(["Dead", `${number(overview.dead)}${more}`], ["Unknown", `${number(overview.unknown)}${more}`]),
    h("p", {}, h("a", { href: mails("failed") }, "Look at them")));
}

function workersCard(overview) {
  const alive = overview.workers.filter((worker) => worker.isAlive);
  const rate = state.rates.at(-1);
  return h("section", { class: "card" }, h("h2", {}, "Workers"), h("p", { class: "big" }, alive.length ? `${alive.length} alive` : "No workers"),
    h("p", {}, `${number(Math.round(rate ? rate.rate : 0))} mails a second`),
    chart("Mails a second lately", [state.rates.map((one) => one.rate)], (top) => String(Math.round(top))),
    h("details", {}, h("summary", {}, "Each of them"), h("ul", {}, overview.workers.map((worker) => h("li", {}, h("code", {}, worker.id), ": ",
      `${worker.isAlive ? "alive" : "silent"} for ${ago(worker.isAlive ? worker.startedAt : worker.at)}, `
      + `${number(worker.sent)} sent, ${number(worker.deferred)} deferred, ${number(worker.refused)} refused`)))));
}

function laneCard(lane, overview) {
  const pace = overview.paces?.lanes.find((one) => one.lane === lane.lane);
  const paused = overview.pausedLanes.find((one) => one.lane === lane.lane);
  const points = state.paces.map((point) => point.lanes.find((one) => one.lane === lane.lane)).filter(Boolean);
  return h("section", { class: "card" }, h("h2", {}, words(lane.lane), paused ? " " : "", paused ? badge("stopped") : ""), facts(
    ["Waiting", number(lane.waiting)], ["In flight", number(lane.inFlight)], ["In the outbox", `${number(lane.outboxEntries)}${lane.isCut ? " or more" : ""}`],
    ["Later", number(lane.later)], ["Oldest", lane.oldestAt ? ago(lane.oldestAt) : "–"], ["Rate", pace ? `${number(Math.round(pace.sentPerSecond))} a second` : "–"],
    ["Wait p50 / p95", `${millis(pace?.waitP50Millis)} / ${millis(pace?.waitP95Millis)}`], ["Send p50 / p95", `${millis(pace?.sendP50Millis)} / ${millis(pace?.sendP95Millis)}`]),
  chart(`${lane.lane}: mails a second, the last minutes`, [points.map((one) => one.sentPerSecond)], (top) => String(Math.round(top))),
  chart(`${lane.lane}: wait and send, 95 of 100, the last minutes`, [points.map((one) => one.waitP95Millis), points.map((one) => one.sendP95Millis)], millis));
}

/** Buttons that stop lanes, for operators. Separate from the parts that are redrawn every second; redrawn only when they change. */
function laneButtons(overview, box) {
  const stopped = (overview.lanes || []).map((lane) => [lane.lane, overview.pausedLanes.some((one) => one.lane === lane.lane)]);
  if (box.dataset.stopped === String(stopped)) return;
  box.dataset.stopped = String(stopped);
  box.replaceChildren(...stopped.map(([lane, is]) => (is ? laneButton(lane, "resume", "Let it go on", false) : laneButton(lane, "pause", "Stop the lane", true))));
}

function laneButton(lane, verb, text, danger) {
  const lines = danger ? [`No worker sends anything more of the lane ${lane}, for any tenant, until an operator restarts it. Its mails wait in the database.`] : [];
  return h("button", { type: "button", class: danger ? "danger" : null, onclick: () => confirm(`${text}: ${lane}?`, lines, text, async (why) => {
    await ask("POST", `admin/lanes/${lane}/${verb}`, { why });
    say("Done; workers see it within seconds.");
  }, { danger }) }, `${text}: ${lane}`);
}

// Notifications

const statusOf = (one) => (one.isPaused ? badge("paused") : badge(one.status));

const headRows = (items) => items.map((one) => row([h("a", { href: mails(`notification/${one.id}`) }, words(one.kind)), h("span", { class: "sub" }, eventName(one.eventId, null))],
  statusOf(one), number(one.recipients), moment(one.dueAt)));
const HEADS = ["What", "State", "-Recipients", "Due"];

async function notifications() {
  return [head("Notifications", { lead: "Mails to many, the newest first. Mails about one booking are no notifications: search for the customer." }),
    await pages("admin/notifications", headRows, HEADS, empty("Nothing was told to many yet.", "Changes of events, reminders and announcements stand here."), { label: "Notifications" })];
}

/** What an event's customers were told. */
async function event(id) {
  const found = await lookUp(`events/${encodeURIComponent(id)}`);
  return [head(found ? typed(found.title) : "Event that is gone", { over: "What its customers were told", lead: found ? h("a", { href: `${BASE}events#/${id}` }, "The event") : null }),
    await pages(`events/${encodeURIComponent(id)}/notifications`, headRows, HEADS, empty("Its customers were told nothing."), { label: "Notifications" })];
}

async function notification(id) {
  const box = h("div", { class: "card" });
  const buttons = h("div", { class: "buttons" });
  const found = await ask("GET", `notifications/${id}`);
  const draw = drawing(id, box, buttons);
  draw(found);
  follow(id, box, draw);
  const all = h("div", {}, await deliveries(`notifications/${id}/deliveries`, empty("None is listed yet.")));
  const states = ["queued", "sending", "sent", "deferred", "dead", "suppressed", "unknown"].map((name) => [name, words(name)]);
  const chosen = choice([["", "Any"], ...states], "", { id: "only-state" });
  chosen.addEventListener("change", async () => {
    const only = chosen.value ? `?state=${chosen.value}` : "";
    all.replaceChildren(await deliveries(`notifications/${id}/deliveries${only}`, empty("None.")));
  });
  const failures = isRole("owner", "organizer", "staff", "operator") ? [h("h2", {}, "Failed"), await deliveries(`admin/notifications/${id}/failed`, empty("No delivery of it has failed."))] : [];
  return [head(words(found.kind), { over: eventName(found.eventId, null) }), box, buttons, failures, h("h2", {}, "All deliveries"), h("div", { class: "filters" }, field("State", chosen)), all];
}

/** Shows a notification as it is; its buttons change only with its state. */
function drawing(id, box, buttons) {
  let status = "";
  const act = (verb, text, danger = false) => h("button", { type: "button", class: danger ? "danger" : null, onclick: () => confirm(`${text}?`, [], text, async (why) => {
    await ask("POST", `admin/notifications/${id}/${verb}`, { why });
    say("Done.");
    draw(await ask("GET", `notifications/${id}`));
  }, { danger }) }, text);
  function draw(found) {
    box.replaceChildren(facts(["State", h("span", { id: "status" }, statusOf(found))], ["Event", eventName(found.eventId)], ["Caused", moment(found.createdAt)], ["Due", moment(found.dueAt)]), ...progressOf(found));
    const now = found.isPaused ? "paused" : found.status;
    if (now === status) return;
    status = now;
    const over = found.status === "superseded" || found.status === "cancelled" || isRole("staff");
    const later = found.status === "scheduled" ? [act("promote", "Send now"), h("button", { type: "button", onclick: () => move(id, found.dueAt) }, "Move")] : [];
    buttons.replaceChildren(...(over ? [] : [found.isPaused ? act("resume", "Resume") : act("pause", "Pause"), ...later, act("cancel", "Cancel for good", true)]));
  }
  return draw;
}

/** Draws it again as it moves, until it is over. */
function follow(id, box, draw) {
  let tick = 0;
  const timer = setInterval(async () => {
    if (!box.isConnected && tick > 2) return clearInterval(timer);
    tick += 1;
    const live = state.overview?.active.find((one) => one.id === id);
    if (live) return draw(live);
    // Not in the stream: done with, about to be in it, or too old for it. Asked for now and then until it is over.
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
}

// What is due later

/** Asks for another time. */
function move(id, dueAt) {
  const local = new Date(Date.parse(dueAt) - new Date(dueAt).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  const due = h("input", { type: "datetime-local", id: "due", required: true, value: local });
  confirm("Move it?", [field("Goes out at (your time zone)", due)], "Move", async (why) => {
    await ask("POST", `admin/notifications/${id}/move`, { dueAt: new Date(due.value).toISOString(), why });
    say("Moved.");
    await state.show();
  });
}

async function schedules() {
  const act = (one, verb, text, said, danger) => h("button", { type: "button", class: danger ? "danger" : null, onclick: () => confirm(`${text}?`, [], text, async (why) => {
    await ask("POST", `admin/notifications/${one.id}/${verb}`, { why });
    say(said);
    await state.show();
  }, { danger }) }, text);
  const buttons = (one) => (isRole("staff") ? "" : h("div", { class: "buttons" }, act(one, "promote", "Send now", "It goes out now.", false),
    h("button", { type: "button", onclick: () => move(one.id, one.dueAt) }, "Move"), act(one, "cancel", "Cancel for good", "Cancelled.", true)));
  const rows = (items) => items.map((one) => row([h("a", { href: mails(`notification/${one.id}`) }, words(one.kind)), one.isPaused ? [" ", badge("paused")] : null, h("span", { class: "sub" }, eventName(one.eventId))],
    moment(one.dueAt), buttons(one)));
  return [head("Schedules", { lead: "What has not begun to go out: reminders, and changes that wait for others. What is due first stands first." }),
    await pages("admin/schedules", rows, ["What", "Due", ""], empty("Nothing is scheduled.", "Reminders of events that are to come stand here."), { label: "Schedules" })];
}
