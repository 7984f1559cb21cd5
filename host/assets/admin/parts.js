// Parts that act: lists that are filled page by page, dialogs, files to keep, and the choice of a tenant.

import { BASE, ask, askFile, isRole, state } from "./api.js";
import { $, empty, h, head, say, table, typed } from "./page.js";

/** Rows of a page, and how many pages are read at most for one of them where most items are left out. */
const PAGE = 50;
const LOOKS_MAX = 20;

/** A table that is filled page by page. `only` leaves items out. */
export async function pages(path, rows, heads, none = "Nothing here.", { label = "Table", only = null } = {}) {
  const { box, add } = table(label, heads, []);
  const more = h("button", { type: "button" }, "More");
  const whole = h("div", {}, box, more);
  let cursor = null;
  const next = async () => {
    let found = 0;
    for (let looks = 0; looks < LOOKS_MAX && !found; looks += 1) {
      const page = await ask("GET", `${path}${path.includes("?") ? "&" : "?"}limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      const items = only ? page.items.filter(only) : page.items;
      add(rows(items));
      cursor = page.nextCursor;
      found = items.length;
      if (!cursor) break;
    }
    more.hidden = !cursor;
    return found;
  };
  more.addEventListener("click", async () => {
    more.disabled = true;
    await next().catch((error) => say(error.message));
    more.disabled = false;
  });
  const count = await next();
  if (count || cursor) return whole;
  return typeof none === "string" ? empty(none) : none;
}

/** A query of what is filled in. */
export function query(path, fields) {
  const filled = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return filled.length ? `${path}?${new URLSearchParams(filled)}` : path;
}

// Forms

let fields = 0;

/** A field with its label, and what stands below it. */
export function field(text, input, help = null) {
  input.id ||= `field-${(fields += 1)}`;
  const said = help ? h("span", { class: "help", id: `${input.id}-help` }, help) : null;
  if (said) input.setAttribute("aria-describedby", said.id);
  return h("div", { class: "field" }, h("label", { for: input.id }, text), input, said);
}

export const choice = (options, value, attributes = {}) => h("select", attributes, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
export const line = (attributes = {}) => h("input", { type: "text", autocomplete: "off", ...attributes });

/** Waits until somebody has stopped typing. */
export function soon(act, wait = 300) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}

/** Asks something in a dialog. `act` does it; what it returns is shown in the dialog's place, or ends it. */
export function dialog(title, content, yes, act, { danger = false, no = "Cancel" } = {}) {
  const box = $("ask");
  const wrong = h("p", { role: "alert", class: "wrong" });
  const go = h("button", { class: danger ? "main danger" : "main" }, yes);
  // What stood in it may be a secret.
  box.onclose = () => box.replaceChildren();
  const close = () => {
    box.close();
    box.replaceChildren();
  };
  box.replaceChildren(h("form", { onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    wrong.textContent = "";
    try {
      const shown = await act();
      if (shown) box.replaceChildren(h("h2", { id: "ask-title" }, title), shown, h("div", { class: "buttons" }, h("button", { type: "button", class: "main", onclick: close }, "Done")));
      else close();
    } catch (error) {
      wrong.textContent = error.field ? `${error.field}: ${error.message}` : error.message;
    }
    go.disabled = false;
  } }, h("h2", { id: "ask-title" }, title), content, wrong, h("div", { class: "buttons" }, go, h("button", { type: "button", onclick: close }, no))));
  box.showModal();
  (box.querySelector("input, select, textarea") || go).focus();
}

/** Asks whether, and why; `act` gets the reason. */
export function confirm(title, lines, yes, act, { danger = false } = {}) {
  const why = line({ id: "why", required: true, maxlength: 500 });
  const content = [lines.map((text) => (typeof text === "string" ? h("p", {}, text) : text)), field("Why (kept in the audit)", why)];
  dialog(title, content, yes, async () => void (await act(why.value)), { danger, no: "No" });
}

/** A secret that is shown this once. */
export function secretOnce(text, lines) {
  const shown = h("input", { type: "text", readonly: true, value: text, class: "secret", "aria-label": "Secret", onfocus: (event) => event.target.select() });
  const copy = h("button", { type: "button", onclick: async () => {
    shown.select();
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Copy it with the keyboard";
    }
  } }, "Copy");
  return h("div", {}, lines.map((one) => h("p", {}, one)), h("div", { class: "together" }, shown, copy));
}

/** A button that loads a file of the API. */
export function fileButton(text, path, name) {
  const button = h("button", { type: "button", onclick: async () => {
    button.disabled = true;
    try {
      const url = URL.createObjectURL(await askFile(path));
      h("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      say(error.message);
    }
    button.disabled = false;
  } }, text);
  return button;
}

/** Views of one tenant's things need to know which: what an operator sees until they have chosen one. */
export async function needsTenant(title) {
  if (!isRole("operator") || state.tenant) return null;
  return [head(title, { lead: "Choose a tenant: these belong to one." }), await tenants()];
}

/** All tenants, to choose one. */
export function tenants() {
  const rows = (items) => items.map((one) => h("tr", {}, h("td", {}, typed(one.name || one.id), h("span", { class: "sub" }, one.id)),
    h("td", { class: "end" }, h("button", { type: "button", "aria-label": `Look at it: ${one.id}`, onclick: () => state.choose(one.id) }, "Look at it"))));
  return pages("operator/tenants", rows, ["Tenant", ""], "There is no tenant yet.", { label: "Tenants" });
}
