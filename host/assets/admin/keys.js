// API keys: which there are, a new one with its secret shown once, and taking one back.

import { PREFIX, ask, state } from "./api.js";
import { badge, empty, full, h, head, moment, row, say, table, typed, userName } from "./page.js";
import { dialog, field, line, needsTenant, secretOnce } from "./parts.js";

export async function view() {
  const missing = await needsTenant("API keys");
  if (missing) return missing;
  const { items } = await ask("GET", "keys");
  const create = () => h("button", { type: "button", class: "main", onclick: () => make().catch((error) => say(error.message)) }, "Create a key");
  const now = new Date().toISOString();
  const rows = items.map((key) => row([typed(key.name), h("span", { class: "sub" }, "Made ", moment(key.createdAt), key.createdBy ? [" by ", userName(key.createdBy)] : " by the platform")],
    h("span", { class: "scopes" }, key.scopes.map((scope) => h("code", {}, scope))), key.lastUsedAt ? moment(key.lastUsedAt) : "Never",
    key.expiresAt === null ? "Never" : key.expiresAt < now ? badge("expired") : moment(key.expiresAt),
    h("button", { type: "button", class: "danger", "aria-label": `Revoke ${key.name}`, onclick: () => revoke(key) }, "Revoke")));
  return [head("API keys", { lead: "Programs sign in with a key. Each may do what its scopes say, and nothing else.", actions: items.length ? [create()] : [] }),
    items.length ? table("API keys", ["Key", "-Scopes", "-Last used", "Expires", ""], rows).box
      : empty("No API keys yet", "Make one for each program, so that each can be taken back alone.", create())];
}

/** The scopes that there are, as the API's description says. */
async function scopes() {
  const answer = await fetch(new URL("openapi.json", new URL(PREFIX, location.origin)));
  return (await answer.json()).components.schemas.ApiKeyScope.enum;
}

async function make() {
  const all = await scopes();
  const name = line({ required: true, maxlength: 200, placeholder: "Box office" });
  const expires = h("input", { type: "date", min: new Date(Date.now() + 86_400_000).toISOString().slice(0, 10) });
  const boxes = all.map((scope) => h("input", { type: "checkbox", value: scope }));
  const content = [field("Name", name, "Which program it is for."),
    h("fieldset", {}, h("legend", {}, "What it may do"), h("div", { class: "checks" }, boxes.map((box) => h("label", { class: "check" }, box, ` ${box.value}`)))),
    field("Stops working on", expires, "Leave it empty for a key that never expires.")];
  dialog("Create an API key", content, "Create", async () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!chosen.length) throw new Error("Choose at least one thing that it may do.");
    const body = { name: name.value, scopes: chosen };
    if (expires.value) body.expiresAt = new Date(`${expires.value}T00:00:00`).toISOString();
    const made = await ask("POST", "keys", body);
    await state.show();
    return secretOnce(made.secret, ["This is the key. It is shown this once: only its hash is kept.", "Programs send it as “Authorization: Bearer”."]);
  });
}

function revoke(key) {
  const used = key.lastUsedAt ? `It was last used on ${full(key.lastUsedAt)}.` : "It was never used.";
  dialog(`Revoke “${key.name}”?`, [h("p", {}, "Within a second no host accepts it. This cannot be undone."), h("p", {}, used)], "Revoke", async () => {
    await ask("DELETE", `keys/${key.id}`);
    say("Revoked.");
    await state.show();
  }, { danger: true });
}
