// The dashboard of what goes out: who is signed in, the stream of what moves, and which view is shown.

import { API, state, PACES_MAX, $, ask, h, done, say, alarm, Refused, session, refresh, take } from "./page.js";
import {
  audit, delivery, event, failed, lanes, notification, notifications, plugin, plugins, schedules, search, user,
} from "./views.js";

// What moves

async function watch() {
  stopWatching();
  const stopping = new AbortController();
  state.stream = stopping;
  while (!stopping.signal.aborted && state.session) {
    try {
      const headers = { "X-CSRF-Token": state.csrf };
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
      alarm(["The live connection is down; trying again."]);
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
      const lines = event.split("\n");
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("");
      const name = lines.find((line) => line.startsWith("event:"))?.slice(6).trim();
      if (data) (TOLD[name] || seen)(JSON.parse(data));
    }
  }
}

/** The stream's other messages. */
const TOLD = {
  paces: (points) => (state.paces = points),
  failing: ({ detail }) => alarm([`What stands here is old: ${detail}`]),
};

function stopWatching() {
  if (state.stream) state.stream.abort();
  state.stream = null;
}

function seen(overview) {
  const at = Date.parse(overview.at);
  // Workers say every few seconds what they have sent since they started; a rate is what was added since.
  const sent = overview.workers.reduce((sum, worker) => sum + worker.sent, 0);
  const last = state.rates.at(-1);
  if (!last || last.sent !== sent || at - last.at > 6000) {
    const rate = last && at > last.at ? Math.max(0, (sent - last.sent) / ((at - last.at) / 1000)) : 0;
    state.rates.push({ at, sent, rate });
    if (state.rates.length > 60) state.rates.shift();
  }
  for (const notification of overview.active) {
    const before = state.progress.get(notification.id);
    const now = { at, done: done(notification.deliveries), rate: before ? before.rate : 0 };
    if (before && at > before.at) {
      const rate = (now.done - before.done) / ((at - before.at) / 1000);
      now.rate = before.rate * 0.7 + Math.max(0, rate) * 0.3;
    }
    state.progress.set(notification.id, now);
  }
  if (state.progress.size > 200) state.progress.clear();
  state.overview = overview;
  if (overview.paces && state.paces.at(-1)?.at !== overview.paces.at) {
    state.paces.push(overview.paces);
    if (state.paces.length > PACES_MAX) state.paces.shift();
  }
  const alive = overview.workers.filter((worker) => worker.isAlive).length;
  const lines = alive ? [] : ["No workers: nothing goes out until one runs."];
  for (const pause of overview.pausedLanes) {
    lines.push(`The lane ${pause.lane} is stopped by ${pause.who || "an operator"} since ${new Date(pause.at).toLocaleString()}: nothing of it goes out.`
      + (pause.why ? ` Why: ${pause.why}` : ""));
  }
  if (overview.health && !overview.health.queue.answers) lines.push("The queue does not answer: mails wait in the database until it does.");
  alarm(lines);
  if (state.onSight) state.onSight(overview);
}

// Views

const VIEWS = [
  ["", "Lanes", lanes],
  ["notifications", "Notifications", notifications],
  ["schedules", "Schedules", schedules],
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
  if (state.onSight && state.overview) state.onSight(state.overview);
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
  parts.push(h("button", { onclick: signOut }, "Sign out"), h("button", { onclick: signOutEverywhere }, "Sign out everywhere"));
  $("who").replaceChildren(...parts);
}

// Signing in and out

function signIn() {
  stopWatching();
  $("nav").hidden = true;
  $("who").replaceChildren();
  alarm([]);
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
  state.csrf = "";
  state.overview = null;
  state.rates = [];
  state.paces = [];
  signIn();
}

async function signOut() {
  await session("DELETE", "session").catch(() => null);
  signedOut();
}

async function signOutEverywhere() {
  const path = state.session.role === "operator" ? "operator/operators/me/sessions" : "auth/me/sessions";
  try {
    await ask("DELETE", path);
  } catch (error) {
    return say(error.message);
  }
  await signOut();
}

// What the parts below ask of this one.
Object.assign(state, { show, signedOut });
window.addEventListener("hashchange", show);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && state.session) refresh();
});
try {
  // Nobody is asked to sign in who is; nobody who is not sees an error for it.
  const found = await session("GET", "session");
  state.csrf = found.csrfToken || "";
  if (found.role) take(found);
  else if (found.mayRefresh) await refresh();
  if (state.session) watch();
} catch {
  state.session = null;
}
show();
