// Webhooks: which addresses are told of changes, how that goes, and what was tried.

import { BASE, ask, state } from "./api.js";
import { ago, badge, empty, facts, h, head, moment, notice, number, row, say, table, typed } from "./page.js";
import { dialog, field, line, needsTenant, notAvailable, pages, secretOnce } from "./parts.js";

const TITLE = "Webhooks";
/** As many as a tenant may have: beyond it the API refuses. */
const ENDPOINTS_MAX = 16;

export async function view([id]) {
  const missing = await needsTenant(TITLE);
  if (missing) return missing;
  try {
    return id ? await one(id) : await all();
  } catch (error) {
    if (error.status === 404 && !id) return notAvailable(TITLE, "This server does not send webhooks yet.");
    throw error;
  }
}

const path = (endpoint, rest = "") => `webhooks/${encodeURIComponent(endpoint.id)}${rest}`;
const typesOf = (endpoint) => (endpoint.types ? endpoint.types.map((type) => [h("code", {}, type), " "]) : "All");
const stateOf = (endpoint) => (endpoint.state === "active" && endpoint.failingSince ? badge("deferred", "Failing") : badge(endpoint.state));

async function all() {
  const { items } = await ask("GET", "webhooks");
  const create = () => h("button", { type: "button", class: "main", onclick: () => edit(null) }, "Add an endpoint");
  const rows = items.map((endpoint) => row([h("a", { href: `${BASE}webhooks#/${encodeURIComponent(endpoint.id)}` }, typed(endpoint.description || endpoint.url)),
    endpoint.description ? h("span", { class: "sub" }, typed(endpoint.url)) : null], [stateOf(endpoint), endpoint.failingSince ? h("span", { class: "sub" }, `for ${ago(endpoint.failingSince)}`) : null],
  h("span", { class: "scopes" }, typesOf(endpoint)), number(endpoint.behind)));
  return [head(TITLE, { lead: "Every change of this tenant's events, bookings and payments is posted to these addresses, in order and signed.", actions: items.length && items.length < ENDPOINTS_MAX ? [create()] : [] }),
    items.length ? table(TITLE, ["Endpoint", "State", "-Types", "-Behind"], rows).box
      : empty("No endpoints yet", "Add the address of a program that should hear of changes as they happen.", create())];
}

async function one(id) {
  const endpoint = await ask("GET", path({ id }));
  return [h("p", { class: "over" }, h("a", { href: `${BASE}webhooks` }, TITLE)), head(typed(endpoint.description || endpoint.url), { lead: stateOf(endpoint), actions: actions(endpoint) }),
    endpoint.state === "disabled" ? notice("bad", h("p", {}, h("strong", {}, "It is disabled. "), endpoint.disabledReason || "Somebody has switched it off.")) : null,
    endpoint.failingSince ? notice("warn", h("p", {}, `It has failed for ${ago(endpoint.failingSince)}. `, endpoint.nextAttemptAt ? ["Next attempt: ", moment(endpoint.nextAttemptAt)] : null)) : null,
    h("div", { class: "card" }, facts(["Address", typed(endpoint.url)], ["Types", typesOf(endpoint)], ["Delivered up to", h("code", {}, endpoint.cursor || "–")],
      ["Behind", `${number(endpoint.behind)} changes`], ["Added", moment(endpoint.createdAt)])),
    h("h2", {}, "Attempts"), await pages(path(endpoint, "/attempts"), attemptRows, ["Change", "Answer", "-Took", "-Response"], empty("Nothing was sent yet", "A ping tries the address at once."), { label: "Attempts" })];
}

const attemptRows = (items) => items.map((one) => row([h("code", {}, one.type), h("span", { class: "sub" }, moment(one.at), one.cursor ? ` · ${one.cursor}` : null)],
  [badge(one.outcome, one.status === null ? "No answer" : String(one.status)), one.error ? h("span", { class: "sub wrong" }, one.error) : null],
  `${number(one.milliseconds)} ms`, one.response ? h("details", {}, h("summary", {}, "Show"), h("pre", {}, one.response)) : "–"));

function actions(endpoint) {
  const act = (text, method, rest, body, done, options = {}) => h("button", { type: "button", class: options.danger ? "danger" : null, onclick: async () => {
    const run = async () => {
      const answer = await ask(method, path(endpoint, rest), body);
      if (done) say(done);
      return answer;
    };
    if (options.lines) return dialog(`${text}?`, options.lines.map((one) => h("p", {}, one)), text, async () => options.then ? options.then(await run()) : void (await run(), await state.show()), options);
    await run().then(() => state.show(), (error) => say(error.message));
  } }, text);
  return [
    act("Send a ping", "POST", "/ping", undefined, "A ping is on its way."),
    h("button", { type: "button", onclick: () => replay(endpoint) }, "Replay"),
    h("button", { type: "button", onclick: () => edit(endpoint) }, "Change"),
    act("New secret", "POST", "/secret", undefined, null, { lines: ["The present secret signs too for 24 hours, so that you can change over."],
      then: (answer) => secretOnce(answer.secret, ["This is the new secret. It is shown this once."]) }),
    endpoint.state === "active" ? act("Disable", "PATCH", "", { enabled: false }, "Disabled.", { lines: ["Nothing is sent to it until it is enabled again. Changes wait for as long as they are kept."] })
      : act("Enable", "PATCH", "", { enabled: true }, "Enabled: it goes on where it stopped."),
    act("Delete", "DELETE", "", undefined, "Deleted.", { danger: true, lines: ["Its attempts are deleted with it. This cannot be undone."], then: () => void (location.href = `${BASE}webhooks`) }),
  ];
}

/** Types as people write them: one a line, or with commas between. */
const list = (text) => text.split(/[\s,]+/).filter(Boolean);

function edit(endpoint) {
  const url = h("input", { type: "url", required: true, value: endpoint?.url, placeholder: "https://example.org/boxoffice", autocomplete: "off" });
  const description = line({ value: endpoint?.description, maxlength: 200 });
  const types = h("textarea", { rows: 3, spellcheck: "false", placeholder: "booking.*" }, (endpoint?.types || []).join("\n"));
  const content = [field("Address", url, "It is called over https, with a signature of Standard Webhooks."), field("Description", description), field("Types", types, "One a line, such as booking.confirmed or booking.*. Empty: all.")];
  dialog(endpoint ? "Change the endpoint" : "Add an endpoint", content, endpoint ? "Save" : "Add", async () => {
    const body = { url: url.value, types: list(types.value).length ? list(types.value) : null, description: description.value.trim() || null };
    if (endpoint) {
      await ask("PATCH", path(endpoint), body);
      say("Saved.");
      return void (await state.show());
    }
    const made = await ask("POST", "webhooks", body);
    await state.show();
    return secretOnce(made.secret, ["Your program checks signatures with this secret. It is shown this once."]);
  });
}

function replay(endpoint) {
  const after = line({ required: true, placeholder: "1.42", value: endpoint.cursor });
  dialog("Replay changes", [h("p", {}, "All changes after a cursor are sent again, in order. Your program knows by the webhook-id what it has had."), field("After the cursor", after)], "Replay", async () => {
    await ask("POST", path(endpoint, "/replay"), { after: after.value.trim() });
    say("It goes on from there.");
    await state.show();
  });
}
