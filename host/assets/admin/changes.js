// Changes: the feed of all that happened to this tenant's things, filtered by type and object, and followed live.

import { ask, stream } from "./api.js";
import { badge, empty, h, head, moment, notice, number, row, say, table, typed } from "./page.js";
import { field, line, needsTenant, query, soon } from "./parts.js";

const TITLE = "Changes";
const PAGE = 100;
/** Rows that stay on the page: older ones leave it while the feed is followed. */
const ROWS_MAX = 500;
/** Pages that are looked through for one object at a click. */
const LOOKS_MAX = 20;

const wanted = { types: "", object: "" };

export async function view() {
  const missing = await needsTenant(TITLE);
  if (missing) return missing;
  return feed();
}

async function feed() {
  const box = h("div", {});
  const reader = { cursor: null, following: null, body: null };
  const more = h("button", { type: "button" }, "Later changes");
  const follow = h("button", { type: "button", "aria-pressed": "false" }, "Follow live");
  const live = h("p", { role: "status", class: "soft" });
  const stop = () => {
    reader.following?.abort();
    reader.following = null;
    follow.textContent = "Follow live";
    follow.setAttribute("aria-pressed", "false");
    live.textContent = "";
  };
  const restart = async () => {
    stop();
    reader.cursor = null;
    const { box: whole } = table(TITLE, ["What", "Object", "-Cursor"], []);
    reader.body = whole.querySelector("tbody");
    box.replaceChildren(whole);
    await next(reader, more).catch((error) => box.replaceChildren(notice("bad", h("p", {}, error.message))));
    if (!reader.body.children.length && reader.body.isConnected) box.prepend(empty("No changes here", "What happens to events, bookings and payments stands here, the oldest first."));
  };
  more.addEventListener("click", () => next(reader, more).catch((error) => say(error.message)));
  follow.addEventListener("click", () => (reader.following ? stop() : start(reader, follow, live, box, stop)));
  const keep = (name, input) => {
    const act = soon(restart, 400);
    input.value = wanted[name];
    input.addEventListener("input", () => {
      wanted[name] = input.value.trim();
      act();
    });
    return input;
  };
  await restart();
  return [head(TITLE, { lead: "All that happened, in the order in which programs hear of it.", actions: [follow] }),
    h("form", { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      field("Types", keep("types", line({ type: "search", spellcheck: "false", placeholder: "booking.*, event.updated" }))),
      field("Object", keep("object", line({ type: "search", spellcheck: "false", placeholder: "Its whole id" })))), live, box, more];
}

const types = () => wanted.types.split(/[\s,]+/).filter(Boolean).join(",");
const fits = (change) => !wanted.object || change.id === wanted.object;

/** The next page with something on it. */
async function next(reader, more) {
  more.disabled = true;
  try {
    for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
      const page = await ask("GET", query("changes", { after: reader.cursor, types: types(), limit: PAGE }));
      const found = page.items.filter(fits);
      found.forEach((change) => add(reader, change, false));
      const isEnd = page.items.length < PAGE;
      reader.cursor = page.nextCursor;
      more.hidden = isEnd;
      if (found.length || isEnd) return;
    }
  } finally {
    more.disabled = false;
  }
}

async function start(reader, button, live, box, stop) {
  const stopping = new AbortController();
  reader.following = stopping;
  button.textContent = "Stop following";
  button.setAttribute("aria-pressed", "true");
  live.textContent = "Following: new changes appear at the end.";
  box.querySelector(".empty")?.remove();
  let count = 0;
  while (!stopping.signal.aborted && box.isConnected) {
    try {
      await stream(query("changes/stream", { after: reader.cursor, types: types() }), stopping.signal, (_, change, id) => {
        if (!box.isConnected) return stop();
        reader.cursor = id || change.cursor;
        if (!fits(change)) return;
        add(reader, change, true);
        live.textContent = `Following: ${number((count += 1))} new at the end.`;
      });
    } catch (error) {
      if (stopping.signal.aborted) return;
      if (error.status) {
        stop();
        return say(error.message);
      }
      live.textContent = "The connection is down; trying again.";
    }
    await new Promise((wake) => setTimeout(wake, 2000));
  }
}

/** What people call the object, or else its id. */
function nameOf({ id, data }) {
  const name = data?.title || data?.bookingNumber || data?.name || data?.number || data?.reference;
  return name ? typed(String(name)) : h("code", {}, id);
}

function add(reader, change, isNew) {
  const detail = h("details", {}, h("summary", {}, nameOf(change)), h("p", { class: "sub" }, h("code", {}, change.id)), h("pre", {}, JSON.stringify(change.data, null, 2)));
  const shown = row([h("code", {}, change.type), isNew ? [" ", badge("active", "New")] : null, h("span", { class: "sub" }, moment(change.at))], detail, [h("code", {}, change.cursor), h("span", { class: "sub" }, `version ${number(change.version)}`)]);
  shown.lastChild.classList.add("wide-only");
  const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  reader.body.append(shown);
  while (reader.body.children.length > ROWS_MAX) reader.body.firstChild.remove();
  if (isNew && isAtEnd) shown.scrollIntoView({ block: "nearest" });
}
