// The frame of the console: who is signed in, the sections they may see, and which view is shown.
//
// Each section is a module of its own that is loaded when it is opened. Its `view` gets the parts of the address after `#`, and
// answers the elements to show; links between sections are addresses, and the page stays when one is followed.

import { BASE, PREFIX, ask, forget, forgetNames, isRole, refresh, session, state, take, tenantShown } from "./api.js";
import { $, alarm, empty, h, head, icon, say, typed } from "./page.js";
import { stopWatching, watch } from "./live.js";
import { signInView } from "./sign-in.js";

const TEAM = ["owner", "organizer", "staff", "operator"];
const OWNERS = ["owner", "operator"];

/** Address, name, picture, who may see it, and its module. Rights are the API's: this leaves out what it would refuse. */
const SECTIONS = [
  ["", "Overview", "M4 4h7v7H4zM13 4h7v4h-7zM13 11h7v9h-7zM4 14h7v6H4z", TEAM, () => import("./overview.js")],
  ["events", "Events", "M5 6h14v14H5zM5 10h14M9 3v4M15 3v4", TEAM, () => import("./events.js")],
  ["queues", "Mails", "M4 6h16v12H4zM4 7l8 6 8-6", TEAM, () => import("./mails.js")],
  ["plugins", "Plugins", "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5", OWNERS, () => import("./plugins.js")],
  ["changes", "Changes", "M3 12h4l3-8 4 16 3-8h4", OWNERS, () => import("./changes.js")],
  ["keys", "API keys", "M8 11a4 4 0 1 0 .01 0M11 12l8-8M16 7l3 3", OWNERS, () => import("./keys.js")],
  ["audit", "Audit", "M9 3h6v4H9zM9 5H5v16h14V5h-4M9 12h6M9 16h6", OWNERS, () => import("./audit.js")],
];

/** How long a view may take before its outline is shown in the place of the one before. */
const PATIENCE = 150;
let view = 0;
let shownAt = null;
let moved = false;

const here = () => SECTIONS.find(([path]) => path === location.pathname.slice(BASE.length - 1).replace(/^\/|\/$/g, "")) || SECTIONS[0];

async function show() {
  const own = ++view;
  shownAt = location.href;
  state.onSight = null;
  closeMenu();
  if (!state.session) return signIn();
  const [path, name, , roles, load] = here();
  frame(path);
  if (!TEAM.includes(state.session.role)) return fill(nothingForCustomers());
  if (!roles.includes(state.session.role)) return fill([head(name), empty("This is not for your role", "Owners of the tenant see it. Ask one of them for what you need.")]);
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  const main = $("main");
  const outline = setTimeout(() => own === view && main.replaceChildren(skeleton(name)), moved ? PATIENCE : 0);
  main.setAttribute("aria-busy", "true");
  let content;
  try {
    content = await (await load()).view(parts);
  } catch (error) {
    content = failed(name, error);
  }
  clearTimeout(outline);
  if (own !== view || !state.session) return;
  fill(content);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function fill(content) {
  const main = $("main");
  main.removeAttribute("aria-busy");
  main.replaceChildren(...[content].flat(9).filter(Boolean));
  document.title = `${main.querySelector("h1").textContent} · Boxoffice`;
  if (moved) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  moved = true;
  if (state.onSight && state.overview) state.onSight(state.overview);
}

const skeleton = (name) => h("div", {}, h("h1", {}, name), h("p", { class: "sr" }, "Loading…"),
  h("div", { class: "skeleton", "aria-hidden": "true" }, h("span"), h("span"), h("span")));

function failed(name, error) {
  if (!error.status && !(error.message || "").startsWith("The server")) console.error(error);
  const gone = error.status === 404;
  return [head(gone ? "That did not work" : name), h("div", { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", {}, gone ? "It is not here, or not yours to see." : "This could not be shown.")), h("p", {}, error.message),
    error.code ? h("p", {}, h("a", { href: `${PREFIX}errors/${error.code}` }, "What this means")) : null,
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: show }, "Try again")))];
}

function nothingForCustomers() {
  return [head("Nothing to look after"), empty("Your account is a customer's", "This is where a tenant's team works. Ask an owner to give you a role.",
    h("button", { type: "button", onclick: signOut }, "Sign out"))];
}

// The frame

function frame(current) {
  const { role, tenant, name } = state.session;
  $("menu").hidden = $("side").hidden = false;
  document.body.classList.remove("nobody");
  $("nav").replaceChildren(h("ul", {}, SECTIONS.filter(([, , , roles]) => roles.includes(role)).map(([path, text, picture]) =>
    h("li", {}, h("a", { href: path ? BASE + path : BASE.slice(0, -1), "aria-current": path === current ? "page" : null }, icon(picture), text)))));
  if ($("who").dataset.of === `${role} ${tenant} ${name} ${state.tenant}`) return;
  $("who").dataset.of = `${role} ${tenant} ${name} ${state.tenant}`;
  $("where").replaceChildren(role === "operator" ? tenantForm() : "");
  $("who").replaceChildren(h("p", { class: "who-name" }, typed(name || "")),
    h("p", { class: "sub" }, role === "operator" ? "Operator of this installation" : [`${role.charAt(0).toUpperCase()}${role.slice(1)} of `, typed(tenant)]),
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: signOut }, "Sign out"),
      h("button", { type: "button", class: "quiet", onclick: signOutEverywhere }, "Sign out everywhere")),
    h("p", { class: "sub" }, h("a", { href: `${PREFIX}docs` }, "API docs")));
}

/** Operators look at all tenants, or at the one that they name. */
function tenantForm() {
  const chosen = h("input", { type: "text", id: "tenant", value: state.tenant, placeholder: "all", autocomplete: "off", autocapitalize: "none", spellcheck: "false", list: "tenants" });
  const list = h("datalist", { id: "tenants" });
  ask("GET", "operator/tenants?limit=100").then((page) => list.replaceChildren(...page.items.map((one) => h("option", { value: one.id }, one.name || "")))).catch(() => null);
  return h("form", { class: "tenant", "aria-label": "Choose a tenant", onsubmit: (event) => {
    event.preventDefault();
    choose(chosen.value.trim());
  } }, h("label", { for: "tenant" }, "Tenant"), h("div", { class: "together" }, chosen, list, h("button", {}, "Look")));
}

function choose(tenant) {
  state.tenant = tenant;
  forgetNames();
  watch();
  return show();
}

/** Customers are refused the overview. */
const watchAsTeam = () => TEAM.includes(state.session.role) && watch();

function closeMenu() {
  document.body.classList.remove("menu-open");
  $("menu").setAttribute("aria-expanded", "false");
}

// Signing in and out

function signIn() {
  stopWatching();
  alarm([]);
  document.body.classList.add("nobody");
  $("menu").hidden = $("side").hidden = true;
  $("who").dataset.of = "";
  fill(signInView(async () => {
    watchAsTeam();
    await show();
  }));
}

function signedOut() {
  forget();
  signIn();
}

async function signOut() {
  await session("DELETE").catch(() => null);
  signedOut();
}

async function signOutEverywhere() {
  try {
    await ask("DELETE", isRole("operator") ? "operator/operators/me/sessions" : "auth/me/sessions");
  } catch (error) {
    return say(error.message);
  }
  await signOut();
}

// Moving about

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const to = new URL(link.href);
  const isOurs = to.origin === location.origin && `${to.pathname}/`.startsWith(BASE) && !link.download && !link.target && link.hash !== "#main";
  if (!isOurs) return;
  event.preventDefault();
  if (to.href !== location.href) history.pushState(null, "", to);
  show();
});
// Addresses that are typed, and the browser's buttons. A click has been followed already.
const follow = () => location.href !== shownAt && location.hash !== "#main" && show();
window.addEventListener("hashchange", follow);
window.addEventListener("popstate", follow);
$("menu").addEventListener("click", () => {
  const isOpen = document.body.classList.toggle("menu-open");
  $("menu").setAttribute("aria-expanded", String(isOpen));
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && state.session) refresh();
});

// What the views ask of the frame.
Object.assign(state, { show, signedOut, choose, tenantShown });
try {
  // Nobody is asked to sign in who is; nobody who is not sees an error for it.
  const found = await session("GET");
  state.csrf = found.csrfToken || "";
  if (found.role) take(found);
  else if (found.mayRefresh) await refresh();
  if (state.session) watchAsTeam();
} catch {
  state.session = null;
}
show();
