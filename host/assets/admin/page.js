// What every view is made of: elements, and numbers, times and names as people read them.
// Whatever comes from a mail server, a tenant or a customer becomes text, never markup: elements are made here by `h`, and
// nothing else makes any.

import { BASE, isRole, lookUp, state } from "./api.js";

export const $ = (id) => document.getElementById(id);

/** Makes an element; strings become text. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A picture beside a word that says the same. */
export function icon(path) {
  const picture = svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" });
  picture.append(svg("path", { d: path }));
  return picture;
}

// Numbers and times

export const number = (value) => (value === null || value === undefined ? "?" : new Intl.NumberFormat().format(value));
export const counted = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

export function money(minor, currency) {
  try {
    const form = new Intl.NumberFormat(undefined, { style: "currency", currency });
    return form.format(minor / 10 ** form.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${number(minor)} ${currency}`;
  }
}

/** A time in the reader's own form and zone. */
export const full = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
export const moment = (text) => (text ? h("time", { datetime: text, title: new Date(text).toLocaleString() }, full(text)) : "–");

/** A time as clocks show it where an event is; the reader's own below it, if that differs. */
export function eventTime(text, timeZone) {
  const form = (zone) => new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short", timeZone: zone }).format(new Date(text));
  try {
    const [there, here] = [form(timeZone), form(undefined)];
    return [h("time", { datetime: text }, there), " ", h("span", { class: "soft" }, `(${timeZone.replaceAll("_", " ")})`),
      there === here ? null : h("span", { class: "sub" }, `Where you are: ${here}`)];
  } catch {
    return [moment(text)];
  }
}

export function ago(text) {
  if (!text) return "–";
  return lasting(Math.max(0, (Date.now() - Date.parse(text)) / 1000));
}

export function lasting(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export const millis = (value) => (value === null || value === undefined ? "–" : value < 1000 ? `${Math.round(value)} ms` : lasting(value / 1000));

// Words and names

/** A name of the API as a phrase: `event-updated` is "Event updated". */
export function words(name) {
  const text = name.replaceAll("-", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const TONES = {
  good: ["sent", "published", "confirmed", "active", "ready", "delivered", "alive", "in use"],
  bad: ["dead", "unknown", "cancelled", "rejected", "failed", "disabled", "in quarantine", "stopped", "expired"],
  warn: ["deferred", "paused", "draft", "compiling", "off", "fanning-out", "behind", "silent", "expires soon"],
};

/** A state as a word with a colour. */
export function badge(name, text = words(name)) {
  const tone = Object.keys(TONES).find((one) => TONES[one].includes(name)) || "plain";
  return h("span", { class: `badge ${tone}` }, text);
}

/** What people have typed keeps its own direction. */
export const typed = (text) => h("bdi", {}, text);

/** A long machine word, shortened; the whole of it is its title, and can be copied. */
export const short = (text, length = 12) => h("code", { title: text }, text.length > length ? `${text.slice(0, length)}…` : text);

/** Somebody's name and address. */
export function person(who, href = null) {
  if (!who) return h("span", { class: "soft" }, "Deleted account");
  const name = typed(who.name || who.email);
  return [href ? h("a", { href }, name) : name, who.name && who.email ? h("span", { class: "sub" }, typed(who.email)) : null];
}

/** An event's title in the place of its id, as a link unless `href` is null. */
export function eventName(id, href = `${BASE}events#/${id}`) {
  if (!id) return h("span", { class: "soft" }, "No event");
  const name = h("bdi", {}, "…");
  lookUp(`events/${encodeURIComponent(id)}`).then((event) => {
    name.textContent = event ? event.title : "Event that is gone";
  });
  return href ? h("a", { href }, name) : name;
}

/** The name of a user in the place of their id; only owners and staff may look people up. */
export function userName(id) {
  const name = h("bdi", {}, "…");
  const found = isRole("owner", "staff", "operator") ? lookUp(`users/${encodeURIComponent(id)}`) : Promise.resolve(null);
  found.then((user) => (name.textContent = user ? user.name || user.email : "Somebody of this tenant"));
  return name;
}

// Parts of pages

/** The head of a view: its title, what stands above and below it, and what can be done. */
export function head(title, { over = null, lead = null, actions = [] } = {}) {
  return h("div", { class: "head" }, h("div", {}, over ? h("p", { class: "over" }, over) : null, h("h1", {}, title),
    lead ? h("p", { class: "lead" }, lead) : null), actions.length ? h("div", { class: "buttons" }, actions) : null);
}

/** What stands where nothing is: why, and what to do about it. */
export const empty = (title, text = null, ...actions) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title),
  text ? h("p", {}, text) : null, actions.length ? h("div", { class: "buttons" }, actions) : null);

export const notice = (tone, ...children) => h("div", { class: `notice ${tone}` }, children);

/** A number that matters, with its name. */
export const tile = (name, value, more = null, tone = "") => h("div", { class: `tile ${tone}` }, h("p", { class: "tile-name" }, name),
  h("p", { class: "tile-value" }, value), more ? h("p", { class: "sub" }, more) : null);

export function facts(...pairs) {
  return h("dl", {}, pairs.filter(Boolean).map(([name, ...value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A table; heads that begin with `-` are left out on phones. */
export function table(label, heads, rows) {
  const optional = heads.map((text) => text.startsWith("-"));
  const body = h("tbody", {}, rows);
  const hide = (row) => [...row.children].forEach((cell, index) => optional[index] && cell.classList.add("wide-only"));
  rows.forEach(hide);
  const box = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", {}, h("thead", {},
    h("tr", {}, heads.map((text) => (text ? h("th", { scope: "col", class: text.startsWith("-") ? "wide-only" : null }, text.replace(/^-/, "")) : h("td"))))), body));
  return { box, add: (more) => { more.forEach(hide); body.append(...more); } };
}

export const row = (...cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell)));

/** How much of a capacity is sold and held. */
export function bar(sold, held, total) {
  const share = (value) => `${total ? Math.min(100, (value / total) * 100).toFixed(2) : 0}`;
  const picture = svg("svg", { class: "share", viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img",
    "aria-label": `${number(sold)} sold and ${number(held)} held of ${number(total)}` });
  picture.append(svg("rect", { class: "share-all", width: "100", height: "6" }), svg("rect", { class: "share-held", width: share(sold + held), height: "6" }),
    svg("rect", { class: "share-sold", width: share(sold), height: "6" }));
  return picture;
}

/** A small picture of one or two lines; what is not known is left out. */
export function chart(title, lines, unit) {
  const given = (value) => value !== null && value !== undefined;
  const all = lines.flat().filter(given);
  const top = Math.max(1, ...all);
  const most = all.length ? unit(Math.max(...all)) : "–";
  const picture = svg("svg", { class: "chart", viewBox: "0 0 100 31", preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}, at most ${all.length ? most : "nothing"}` });
  lines.forEach((values, line) => {
    const points = values.map((value, index) => given(value) ? `${((index / Math.max(1, values.length - 1)) * 100).toFixed(1)},${(30 - (value / top) * 28).toFixed(1)}` : null);
    picture.append(svg("polyline", { class: `line-${line}`, points: points.filter(given).join(" ") }));
  });
  return h("figure", {}, picture, h("figcaption", { class: "soft" }, `${title.replace(/^\w+: /, "")}; at most ${most}`));
}

/** What is due later is not going out. */
export const isGoing = (one) => one.status !== "scheduled";

export const done = (counts) => counts.sent + counts.dead + counts.suppressed + counts.unknown;

export function progressOf(one) {
  const counts = one.deliveries;
  const total = Math.max(one.recipients, done(counts) + counts.queued + counts.sending + counts.deferred);
  const before = state.progress.get(one.id);
  const left = total - done(counts);
  const eta = before && before.rate > 0.05 && left > 0 ? `, about ${lasting(left / before.rate)} left` : "";
  const parts = [[counts.sent, "sent"], [counts.queued + counts.sending, "waiting"], [counts.deferred, "deferred"], [counts.dead, "dead"],
    [counts.unknown, "unknown"], [counts.suppressed, "suppressed"]];
  return [
    h("progress", { max: Math.max(1, total), value: done(counts), "aria-label": "Deliveries that are done" }),
    h("p", {}, `${number(done(counts))} of ${number(total)} done${eta} `, one.isPaused ? badge("paused") : null),
    h("p", { class: "soft" }, parts.map(([count, name]) => `${number(count)} ${name}`).join(", ")),
  ];
}

// What is said

export function say(text) {
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => ($("said").textContent = ""), 6000);
}

/** Says what everybody must see at once; changed only when it changes, or it would be read out every second. */
export function alarm(lines) {
  const text = lines.join("\n");
  if (($("alarm").dataset.text || "") === text) return;
  $("alarm").dataset.text = text;
  $("alarm").replaceChildren(...lines.map((line) => h("p", {}, line)));
}
