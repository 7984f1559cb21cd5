// Events: the list with what is sold, and one event with its ticket types, its bookings, and where to go on.

import { BASE, ask, isRole, lookUp } from "./api.js";
import { badge, empty, eventTime, facts, h, head, bar, moment, money, number, person, row, table, tile, typed, userName, words } from "./page.js";
import { choice, field, fileButton, line, needsTenant, pages, query, soon } from "./parts.js";
import { LEFT, eventHeads, eventRow } from "./overview.js";

export async function view([id, ...rest]) {
  const missing = await needsTenant("Events");
  if (missing) return missing;
  return id ? one(id, ...rest) : list();
}

// The list

/** What was looked for, kept while the page is open: the way back from an event leads to the same list. */
const wanted = { q: "", when: "upcoming", status: "", whose: "mine" };

const WHEN = [["upcoming", "Upcoming"], ["past", "Begun or over"], ["all", "All, by creation"]];
const STATUS = [["", "Any"], ["published", "Published"], ["draft", "Draft"], ["cancelled", "Cancelled"]];
const WHOSE = [["mine", "My events"], ["all", "All events"]];

async function list() {
  const box = h("div", { "aria-live": "polite" });
  const own = isRole("organizer") ? await lookUp("auth/me") : null;
  let newest = 0;
  const draw = async () => {
    const mine = (newest += 1);
    const now = new Date().toISOString();
    const path = query("events", { q: wanted.q.trim(), status: wanted.status, organizer: own && wanted.whose === "mine" ? own.id : "",
      startsFrom: wanted.when === "upcoming" ? now : "", startsBefore: wanted.when === "past" ? now : "" });
    const none = empty(wanted.q ? "No event has these words" : "No events here", wanted.q ? "Words are found by their beginnings, in title, place and description."
      : "Events are created over the API.");
    let found;
    try {
      found = await pages(path, (items) => items.map(eventRow), eventHeads(), none, { label: "Events" });
    } catch (error) {
      found = h("p", { class: "wrong", role: "alert" }, error.message);
    }
    if (mine === newest) box.replaceChildren(found);
  };
  const keep = (name, input) => {
    const act = soon(draw, input.type === "search" ? 300 : 0);
    input.addEventListener("input", () => {
      wanted[name] = input.value;
      act();
    });
    return input;
  };
  const search = keep("q", line({ type: "search", value: wanted.q, maxlength: 100, placeholder: "Title, place or description" }));
  await draw();
  return [head("Events"), h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() }, field("Search", search),
    field("When", keep("when", choice(WHEN, wanted.when))), field("State", keep("status", choice(STATUS, wanted.status))),
    own ? field("Whose", keep("whose", choice(WHOSE, wanted.whose))) : null), box];
}

// One event

async function one(id) {
  const event = await ask("GET", `events/${encodeURIComponent(id)}`);
  const isCounted = event.totalTickets !== null;
  const seesBookings = isCounted || isRole("staff");
  const state = event.status === "published" ? null : badge(event.status);
  const left = isCounted ? event.totalTickets - event.ticketsSold - event.ticketsHeld : event.available.left;
  const waiting = isCounted && event.waiting ? tile("Waiting", number(event.waiting), "on the waiting list") : null;
  const tiles = isCounted ? [tile("Sold", number(event.ticketsSold), `of ${number(event.totalTickets)}`), tile("Held", number(event.ticketsHeld), "not yet paid or confirmed"),
    tile("Left", number(left), left === 0 ? "sold out" : "can be booked", left === 0 ? "warn" : ""), waiting]
    : [tile("Left", left === null ? LEFT[event.available.state] : number(left))];
  return [h("p", { class: "over" }, h("a", { href: `${BASE}events` }, "Events")), head(typed(event.title), { lead: [state, state ? " " : null, eventTime(event.startsAt, event.timeZone)],
    actions: seesBookings ? links(event) : [] }),
  h("div", { class: "tiles" }, tiles), isCounted ? h("div", { class: "wide-bar" }, bar(event.ticketsSold, event.ticketsHeld, event.totalTickets)) : null,
  h("h2", {}, "Ticket types"), types(event),
  h("h2", {}, "About it"), h("div", { class: "card" }, about(event)),
  ...(seesBookings ? [h("h2", {}, "Bookings"), await bookings(event)] : [])];
}

/** What the event's answer leaves out is not shown as empty. */
function about(event) {
  return facts(["Place", event.location ? typed(event.location) : "not given"],
    event.endsAt ? ["Ends", moment(event.endsAt)] : null,
    event.organizerId ? ["Organizer", userName(event.organizerId)] : null,
    event.reminder ? ["Reminder", h("a", { href: `${BASE}queues#/notification/${event.reminder.notificationId}` }, moment(event.reminder.dueAt))] : null,
    event.maxTicketsPerCustomer ? ["Tickets per customer", `at most ${number(event.maxTicketsPerCustomer)}`] : null,
    event.reference ? ["Reference", typed(event.reference)] : null,
    ["Changed", moment(event.updatedAt)], ["Id", h("code", {}, event.id)],
    event.description ? ["Description", h("p", { class: "prose" }, typed(event.description))] : null);
}

const links = (event) => [
  h("a", { class: "button", href: `${BASE}queues#/event/${event.id}` }, "What customers were told"),
  fileButton("Bookings (CSV)", `events/${event.id}/bookings/export?format=csv`, "bookings.csv"),
  fileButton("Door list (CSV)", `events/${event.id}/door-list/export?format=csv`, "door-list.csv"),
];

function types(event) {
  const rows = event.ticketTypes.map((type) => {
    const isCounted = type.capacity !== null;
    return row([typed(type.name), h("span", { class: "sub" }, saleOf(type))], type.priceMinor ? money(type.priceMinor, event.currency) : "Free",
      isCounted ? [`${number(type.sold)} of ${number(type.capacity)}`, bar(type.sold, type.held, type.capacity)] : "–", isCounted ? number(type.held) : "–",
      isCounted ? number(type.capacity - type.sold - type.held) : type.available.left === null ? LEFT[type.available.state] : number(type.available.left));
  });
  return table("Ticket types", ["Type", "Price", "Sold", "-Held", "Left"], rows).box;
}

function saleOf(type) {
  const now = new Date().toISOString();
  if (type.salesOpenAt > now) return ["On sale from ", moment(type.salesOpenAt)];
  if (type.salesCloseAt) return [type.salesCloseAt > now ? "On sale until " : "Sale ended ", moment(type.salesCloseAt)];
  return `${number(type.minPerBooking)} to ${number(type.maxPerBooking)} a booking`;
}

const CHANNELS = { self: "Booked by the customer", sold: "Sold to the customer", imported: "Imported" };

async function bookings(event) {
  const rows = (items) => items.map((booking) => row([h("strong", {}, booking.bookingNumber), h("span", { class: "sub" }, CHANNELS[booking.channel] || words(booking.channel))],
    person(booking.customer, `${BASE}queues#/user/${booking.customerId}`), number(booking.numTickets),
    booking.totalMinor ? money(booking.totalMinor, booking.currency) : "Free", badge(booking.status), moment(booking.createdAt)));
  const heads = ["Booking", "Customer", "Tickets", "-Total", "State", "-Booked"];
  const box = h("div", { "aria-live": "polite" });
  const who = line({ placeholder: "Whole e-mail address", type: "search", autocapitalize: "none", spellcheck: "false" });
  const draw = async () => {
    const only = who.value.trim();
    const none = only ? empty("No bookings of this customer", "Give the whole address, as the customer wrote it.") : empty("Nobody has booked yet", "Bookings stand here as soon as they are made.");
    box.replaceChildren(await pages(query(`events/${event.id}/bookings`, { customer: only }), rows, heads, none, { label: "Bookings" })
      .catch((error) => h("p", { class: "wrong", role: "alert" }, error.message)));
  };
  await draw();
  return [h("form", { class: "filters", role: "search", onsubmit: (submitted) => {
    submitted.preventDefault();
    draw();
  } }, field("Customer", who), h("button", {}, "Find")), box];
}
