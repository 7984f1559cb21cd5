// The overview: what matters today. What is sold of the next events, what waits or failed of the mails, and what stands still.

import { BASE, ask, isRole, lookUp, state, tenantShown } from "./api.js";
import { ago, badge, bar, counted, empty, h, head, isGoing, moment, notice, number, progressOf, table, tile, typed, words, eventName } from "./page.js";
import { tenants } from "./parts.js";

const UPCOMING_MAX = 8;

export async function view() {
  if (!tenantShown()) return installation();
  const [events, quarantined, tenant] = await Promise.all([upcoming(), quarantines(), lookUp("tenant")]);
  const tiles = h("div", { class: "tiles" });
  const going = h("div", {});
  state.onSight = (overview) => {
    tiles.replaceChildren(...mailTiles(overview), pluginTile(quarantined));
    going.replaceChildren(...goingOut(overview));
  };
  state.onSight(state.overview || await ask("GET", "admin/overview"));
  return [head("Overview", { over: typed(tenant?.name || tenantShown()) }), ...quarantined.map(quarantineNotice), tiles,
    h("h2", {}, "Upcoming events"), upcomingTable(events), h("h2", {}, "Going out now"), going];
}

/** What an operator sees who has not chosen a tenant. */
async function installation() {
  const tiles = h("div", { class: "tiles" });
  state.onSight = (overview) => {
    const lanes = overview.lanes || [];
    const health = (name, part) => tile(name, part.answers ? "Answers" : "Does not answer", `in ${part.tookMillis.toFixed(1)} ms`, part.answers ? "" : "bad");
    tiles.replaceChildren(...mailTiles(overview), ...lanes.map((lane) => tile(`Lane ${lane.lane}`, lane.waiting === null ? "?" : number(lane.waiting), "waiting in the queue")),
      ...(overview.health ? [health("Database", overview.health.database), health("Queue", overview.health.queue)] : []));
  };
  state.onSight(state.overview || await ask("GET", "admin/overview"));
  return [head("Overview", { over: "This installation" }), tiles, h("h2", {}, "Tenants"), await tenants()];
}

// Events

/** The next events; for organizers their own. */
async function upcoming() {
  const own = isRole("organizer") ? await lookUp("auth/me") : null;
  const asked = new URLSearchParams({ startsFrom: new Date().toISOString(), limit: UPCOMING_MAX, ...(own ? { organizer: own.id } : {}) });
  return (await ask("GET", `events?${asked}`)).items;
}

function upcomingTable(events) {
  if (!events.length) return empty("No upcoming events", "What begins later is listed here, with what is sold.", h("a", { class: "button", href: `${BASE}events` }, "All events"));
  return [table("Upcoming events", eventHeads(), events.map(eventRow)).box,
    h("p", {}, h("a", { href: `${BASE}events` }, "All events"))];
}

/** What stands in the place of numbers that a role does not see. */
export const LEFT = { yes: "Available", few: "Few left", no: "Sold out" };

/** Only those who manage events see what is sold and held. */
export const eventHeads = () => (isRole("staff") ? ["Event", "-Begins", "Left"] : ["Event", "-Begins", "Sold", "-Held", "Left"]);

export function eventRow(event) {
  const isCounted = event.totalTickets !== null;
  const left = isCounted ? event.totalTickets - event.ticketsSold - event.ticketsHeld : event.available.left;
  const cells = [h("td", {}, h("a", { href: `${BASE}events#/${event.id}` }, typed(event.title)), event.status === "published" ? null : [" ", badge(event.status)],
    h("span", { class: "sub" }, moment(event.startsAt), event.location ? [" · ", typed(event.location)] : null)), h("td", {}, startsIn(event.startsAt))];
  const counts = [h("td", {}, isCounted ? [`${number(event.ticketsSold)} of ${number(event.totalTickets)}`, bar(event.ticketsSold, event.ticketsHeld, event.totalTickets)] : "–"),
    h("td", {}, isCounted ? number(event.ticketsHeld) : "–")];
  return h("tr", {}, cells, isRole("staff") ? null : counts, h("td", {}, left === null ? LEFT[event.available.state] : left === 0 ? badge("disabled", "Sold out") : number(left)));
}

function startsIn(at) {
  const days = (Date.parse(at) - Date.now()) / 86_400_000;
  if (days < 0) return "has begun";
  if (days < 1) return "within a day";
  if (days < 90) return `in ${counted(Math.round(days), "day")}`;
  return days < 700 ? `in ${number(Math.round(days / 30.4))} months` : `in ${number(Math.round(days / 365.25))} years`;
}

// Mails

function mailTiles(overview) {
  const going = overview.active.filter(isGoing);
  const waiting = going.reduce((sum, one) => sum + one.deliveries.queued + one.deliveries.sending + one.deliveries.deferred, 0);
  const more = overview.isCut ? " or more" : "";
  const failed = overview.dead + overview.unknown;
  const alive = overview.workers.filter((worker) => worker.isAlive).length;
  const mails = (path) => `${BASE}queues${path}`;
  return [
    tenantShown() ? tile("Mails waiting", h("a", { href: mails("#/notifications") }, number(waiting)), going.length ? `in ${counted(going.length, "notification")}` : "nothing is going out") : null,
    tile("Mails failed", h("a", { href: mails("#/failed") }, `${number(failed)}${more}`), `${number(overview.dead)} dead, ${number(overview.unknown)} unknown`, failed ? "warn" : ""),
    tile("Workers", h("a", { href: mails("") }, alive ? `${number(alive)} alive` : "None"), alive ? "send what is due" : "nothing goes out", alive ? "" : "bad"),
    overview.pausedLanes.length ? tile("Lanes stopped", number(overview.pausedLanes.length), overview.pausedLanes.map((one) => one.lane).join(", "), "bad") : null,
  ].filter(Boolean);
}

function goingOut(overview) {
  const going = overview.active.filter(isGoing);
  if (!going.length) return [empty("Nothing is going out", "Announcements, changes of events and reminders show their progress here.")];
  return [h("div", { class: "cards" }, going.map((one) => h("section", { class: "card" },
    h("h3", {}, h("a", { href: `${BASE}queues#/notification/${one.id}` }, words(one.kind))), h("p", { class: "sub" }, eventName(one.eventId)),
    progressOf(one))))];
}

// Plugins

async function quarantines() {
  if (!isRole("owner", "operator")) return [];
  const overview = await ask("GET", "admin/plugins");
  return overview.items.flatMap(({ uses }) => uses.flatMap((use) => use.quarantines.map((own) => ({ ...own, name: use.name }))));
}

function pluginTile(quarantined) {
  if (!isRole("owner", "operator")) return "";
  return tile("Plugins in quarantine", h("a", { href: `${BASE}plugins` }, number(quarantined.length)), quarantined.length ? "what they decide is refused" : "all answer", quarantined.length ? "bad" : "");
}

const quarantineNotice = (one) => notice("bad", h("p", {}, h("strong", {}, `The plugin ${one.name} is in quarantine. `), `Since ${ago(one.since)}: ${one.reason}`),
  h("p", {}, h("a", { href: `${BASE}plugins#/${encodeURIComponent(one.name)}` }, "Look at it")));
