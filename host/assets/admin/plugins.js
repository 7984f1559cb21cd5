// Plugins: which are in use and how they do, every version that was uploaded, the built-in policies, and one plugin's log.

import { BASE, ask } from "./api.js";
import { ago, badge, empty, eventName, facts, h, head, moment, notice, number, row, short, table, words } from "./page.js";
import { needsTenant, pages } from "./parts.js";

export async function view([name]) {
  const missing = await needsTenant("Plugins");
  if (missing) return missing;
  return name ? one(name) : all();
}

const pageOf = (name) => `${BASE}plugins#/${encodeURIComponent(name)}`;
const cpu = (microseconds) => (microseconds === null ? "–" : microseconds < 1000 ? `${number(microseconds)} µs` : `${number(Math.round(microseconds / 100) / 10)} ms`);

async function all() {
  const [overview, catalogue] = await Promise.all([ask("GET", "admin/plugins"), ask("GET", "policy-catalogue")]);
  const active = new Set(overview.items.flatMap(({ uses }) => uses.map((use) => use.version)));
  const rows = overview.items.map((plugin) => useRow(plugin));
  const versions = await pages("plugins/versions", (items) => items.map((version) => versionRow(version, active)),
    ["Plugin", "State", "-Version", "-Size", "Uploaded"], empty("Nothing was uploaded yet", "“boxoffice plugin push” uploads a version; docs/plugin.md of the source says how."), { label: "Versions" });
  return [head("Plugins", { lead: "What decides about bookings and writes mails for this tenant, in the order in which it is asked." }),
    overview.items.flatMap(({ uses }) => uses.flatMap((use) => use.quarantines.map((own) => quarantine(use.name, own)))),
    h("h2", {}, "In use"), rows.length ? [table("Plugins in use", ["Plugin", "State", "-Calls", "-Failures", "-Time: mean / longest"], rows).box,
      h("p", { class: "soft" }, "Calls are those of the host that answers this page, since it started; other hosts and workers count their own (/metrics has all).")]
      : empty("No plugins are in use.", "Bookings follow the rules of the event alone, and mails have the built-in words."),
    h("h2", {}, "Versions"), versions, h("h2", {}, "Built-in policies"), h("p", { class: "soft" }, "Every tenant can activate these without an upload."),
    h("div", { class: "cards" }, catalogue.items.map((policy) => h("section", { class: "card" }, h("h3", {}, policy.title), h("p", {}, policy.description), h("p", { class: "sub" }, h("code", {}, policy.name)))))];
}

function quarantine(name, own) {
  return notice("bad", h("p", {}, h("strong", {}, `${name}: ${own.export} is in quarantine for ${ago(own.since)}.`), " Requests that need it are refused until a try succeeds, or a version is activated."),
    h("p", {}, "Reason: ", own.reason), h("p", {}, "Tried again from ", moment(own.nextTryAt), `; ${number(own.failedTries)} tries have failed.`));
}

function useState(use) {
  if (use.quarantines.length) return badge("in quarantine");
  return use.enabled ? badge("in use") : badge("off", "Switched off");
}

function useRow({ uses, thisProcess: here }) {
  return row([h("a", { href: pageOf(uses[0].name) }, uses[0].name), uses.map((use) => h("span", { class: "sub" }, use.rules ? `Rules ${use.rules}` : short(use.version), use.eventId ? [" for ", eventName(use.eventId)] : " for all events"))],
    uses.map((use) => h("div", {}, useState(use))), number(here.calls), [failuresOf(here), here.lastFailure ? h("span", { class: "sub" }, moment(here.lastFailureAt), ": ", here.lastFailure) : null],
    here.calls ? `${cpu(here.microsecondsMean)} / ${cpu(here.microsecondsMax)}` : "–");
}

function failuresOf(here) {
  const { failed, inputTooLarge, busy, notLoaded } = here.failures;
  const parts = [[failed, "failed"], [inputTooLarge, "too large"], [busy, "host or tenant too busy"], [notLoaded, "not loaded"]].filter(([count]) => count);
  return parts.length ? parts.map(([count, what]) => `${number(count)} ${what}`).join(", ") : "None";
}

function versionRow(version, active) {
  const does = [version.decides ? "decides" : null, version.words ? "writes mails" : null].filter(Boolean).join(" and ");
  return row([h("a", { href: pageOf(version.name) }, version.name), does ? h("span", { class: "sub" }, words(does)) : null],
    [badge(version.state), active.has(version.version) ? [" ", badge("in use")] : null, version.reason ? h("span", { class: "sub wrong" }, version.reason) : null],
    short(version.version), size(version.sizeBytes), moment(version.uploadedAt));
}

const size = (bytes) => (bytes < 1024 * 1024 ? `${number(Math.ceil(bytes / 1024))} KiB` : `${number(Math.round(bytes / 104_857.6) / 10)} MiB`);

async function one(name) {
  const overview = await ask("GET", "admin/plugins");
  const plugin = overview.items.find(({ uses }) => uses[0].name === name);
  const uses = plugin ? plugin.uses : [];
  // Built-in policies write no log.
  const isBuiltIn = uses.some((use) => use.rules !== null);
  const kept = (what) => (isBuiltIn ? { items: [] } : ask("GET", `plugins/${encodeURIComponent(name)}/${what}`));
  const [logs, failed] = await Promise.all([kept("logs"), kept("failed-calls")]);
  const lines = logs.items.map((entry) => row(moment(entry.at), [entry.failure ? h("p", { class: "wrong" }, entry.failure) : null, entry.lines.map((own) => h("p", {}, h("code", {}, own.level), ` ${own.message}`))],
    short(entry.version)));
  return [h("p", { class: "over" }, h("a", { href: `${BASE}plugins` }, "Plugins")), head(name), uses.flatMap((use) => use.quarantines.map((own) => quarantine(name, own))),
    uses.length ? h("div", { class: "cards" }, uses.map((use) => useCard(use))) : empty("It is not in use", "Its log stays for a while."),
    plugin ? [h("h2", {}, "Calls of this host"), h("div", { class: "card" }, counters(plugin.thisProcess))] : null,
    isBuiltIn ? null : [h("h2", {}, "Its latest log lines"), lines.length ? table("Log", ["When", "What", "-Version"], lines).box : empty("It has logged nothing.")],
    failed.items.length ? [h("h2", {}, "Failed calls"), h("p", { class: "soft" }, `${number(failed.items.length)} are kept with their inputs at `, h("code", {}, `/api/plugins/${name}/failed-calls`), ".")] : null];
}

function useCard(use) {
  return h("section", { class: "card" }, h("h2", {}, use.eventId ? ["For ", eventName(use.eventId)] : "For all events", " ", useState(use)), facts(
    use.rules ? ["Rules", number(use.rules)] : ["Version", short(use.version, 20)],
    ["If it cannot be loaded", use.whenNotLoaded === "skip" ? "Bookings go on without it" : "Bookings are refused"],
    ["Sees customers", use.seesIdentity ? "Name and e-mail address" : "No"],
    use.previous.length ? ["Before", use.previous.map((version) => [short(version, 8), " "])] : null,
  ), h("details", {}, h("summary", {}, "Configuration"), h("pre", {}, JSON.stringify(use.config, null, 2))));
}

function counters(here) {
  return facts(["Calls", number(here.calls)], ["Failures", failuresOf(here)], ["Time, mean / longest", here.calls ? `${cpu(here.microsecondsMean)} / ${cpu(here.microsecondsMax)}` : "–"],
    here.since ? ["Since", moment(here.since)] : null, here.lastFailure ? ["Last failure", moment(here.lastFailureAt), " ", here.lastFailure] : null);
}
