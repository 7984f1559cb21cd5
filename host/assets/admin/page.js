// What the dashboard is made of: elements, numbers as people read them, and asking the interface like any other client.
// Whatever comes from a mail server, a tenant or a customer becomes text, never markup: elements are made here by `h`, and
// nothing else makes any.

export const API = "../api/";
export const state = { session: null, csrf: "", overview: null, rates: [], paces: [], progress: new Map(), stream: null, tenant: "", view: 0 };

// Ten minutes of points, as the server keeps them.
export const PACES_MAX = 120;
export const $ = (id) => document.getElementById(id);
/** Makes an element; strings become text. */
export function h(name, attributes = {}, ...children) {
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

export const number = (value) => (value === null || value === undefined ? "?" : new Intl.NumberFormat().format(value));
export const moment = (text) => (text ? h("time", { datetime: text }, new Date(text).toLocaleString()) : "–");
export function ago(text) {
  if (!text) return "–";
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  return lasting(seconds);
}

export function lasting(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const millis = (value) => (value === null || value === undefined ? "–" : value < 1000 ? `${Math.round(value)} ms` : lasting(value / 1000));
export const stateOf = (name) => h("span", { class: `state ${name}` }, name);
export const done = (counts) => counts.sent + counts.dead + counts.suppressed + counts.unknown;
export function say(text) {
  $("said").textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => ($("said").textContent = ""), 6000);
}

/** Says what everybody must see at once; changed only when it changes, or it would be read out every second. */
export function alarm(lines) {
  const text = lines.join("\n");
  if ($("alarm").dataset.text === text) return;
  $("alarm").dataset.text = text;
  $("alarm").replaceChildren(...lines.map((line) => h("p", {}, line)));
}

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code;
  }
}

export async function ask(method, path, body, again = true) {
  const headers = { "X-CSRF-Token": state.csrf };
  if (state.tenant) headers["X-Tenant"] = state.tenant;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(API + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401 && again && (await refresh())) return ask(method, path, body, false);
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

export async function session(method, path, body) {
  const headers = state.csrf ? { "X-CSRF-Token": state.csrf } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

export async function refresh() {
  try {
    take(await session("POST", "session/refresh"));
    return true;
  } catch {
    state.signedOut();
    return false;
  }
}

export function take(found) {
  state.session = found;
  state.csrf = found.csrfToken;
  clearTimeout(take.timer);
  // Well before the token is over; a page that sleeps asks again when it wakes.
  take.timer = setTimeout(refresh, (found.expiresInSeconds * 1000) / 2);
}

/** A small picture of one or two lines; what is not known is left out. */
export function chart(title, lines, unit) {
  const known = (value) => value !== null && value !== undefined;
  const all = lines.flat().filter(known);
  const top = Math.max(1, ...all);
  const picture = svg("svg", { class: "chart", viewBox: "0 0 100 31", preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}, at most ${all.length ? unit(Math.max(...all)) : "nothing"}` });
  lines.forEach((values, line) => {
    const points = values.map((value, index) => known(value) ? `${((index / Math.max(1, values.length - 1)) * 100).toFixed(1)},${(30 - (value / top) * 28).toFixed(1)}` : null);
    picture.append(svg("polyline", { class: `line-${line}`, points: points.filter(known).join(" ") }));
  });
  return h("figure", {}, picture, h("figcaption", { class: "soft" }, `${title.replace(/^\w+: /, "")}; at most ${all.length ? unit(Math.max(...all)) : "–"}`));
}

export function progressOf(one) {
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

/** A table that is filled page by page. */
export async function pages(path, rows, heads, empty = "Nothing here.") {
  const body = h("tbody", {});
  const more = h("button", {}, "More");
  const box = h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), body)), more);
  let cursor = null;
  const next = async () => {
    let found = 0;
    // What is filtered may have empty pages before the next one with something on it.
    for (let looks = 0; looks < 20 && !found; looks += 1) {
      const page = await ask("GET", `${path}${path.includes("?") ? "&" : "?"}limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      body.append(...rows(page.items));
      cursor = page.nextCursor;
      found = page.items.length;
      if (!cursor) break;
    }
    more.hidden = !cursor;
    return found;
  };
  more.addEventListener("click", () => next().catch((error) => say(error.message)));
  const count = await next();
  return count || cursor ? box : h("p", { class: "soft" }, empty);
}

/** Views of one tenant's things need to know which. */
export function needsTenant(title) {
  if (state.session.role !== "operator" || state.tenant) return null;
  return [h("h1", {}, title), h("p", {}, "Name a tenant above: these belong to one.")];
}

/** Asks whether, and why; `act` gets the reason. */
export function confirm(title, lines, yes, act) {
  const dialog = $("ask");
  const why = h("input", { type: "text", id: "why", required: true, maxlength: 500, autocomplete: "off" });
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
  } }, h("h2", { id: "ask-title" }, title), lines.map((line) => (typeof line === "string" ? h("p", {}, line) : line)),
  h("label", { for: "why" }, h("span", {}, "Why (kept in the audit)"), why), wrong,
  h("div", { class: "buttons" }, go, h("button", { type: "button", onclick: () => dialog.close() }, "No"))));
  dialog.showModal();
  (dialog.querySelector("input") || why).focus();
}
