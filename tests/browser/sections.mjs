// Opens every section of the console as every role that works for a tenant, on a desk and on a phone, in light and dark.
//
// Goal: each role sees the sections that its rights allow and no other, under names and not ids; nothing is written to the
// console as an error, axe-core finds nothing, and nothing is wider than a phone. A key is made, shown once and revoked; an
// event is found and shows who booked; the audit is filtered.
//
// Method: the host and the tenant of dashboard.mjs, which calls this, with an organizer, staff, an event of several types at
// prices, a title that runs from right to left, and a built-in policy.

import assert from "node:assert/strict";

import { PASSWORD, PHONE, ask, errors, host, look, open, signIn } from "./kit.mjs";

const OWNERS = ["Overview", "Events", "Mails", "Plugins", "Changes", "API keys", "Audit"];
const TEAM = OWNERS.slice(0, 3);
/** What each section shows when it is there, by its address. */
const HEADINGS = { "": "Overview", events: "Events", queues: "Lanes", plugins: "Plugins", changes: "Changes", keys: "API keys", audit: "Audit" };
const ROLES = {
  owner: { email: "owen@north.test", tenant: "north", sees: OWNERS },
  organizer: { email: "olga@north.test", tenant: "north", sees: TEAM },
  staff: { email: "stefan@north.test", tenant: "north", sees: TEAM },
  operator: { email: "olivia@boxoffice.test", tenant: null, sees: OWNERS },
};
const DAY = 24 * 3600 * 1000;

/** What the sections show: people, events with prices, a policy. */
async function furnish() {
  const { token: operator } = await ask("POST", "/api/operator/login", { email: ROLES.operator.email, password: PASSWORD });
  const add = (role, name) => ask("POST", "/api/operator/tenants/north/users", { email: ROLES[role].email, name, password: PASSWORD, role }, { token: operator });
  await add("organizer", "Olga Organizer");
  await add("staff", "Stefan Staff");
  const signedIn = async (role) => (await ask("POST", "/api/auth/login", { email: ROLES[role].email, password: PASSWORD }, { tenant: "north" })).token;
  const [owner, organizer] = [await signedIn("owner"), await signedIn("organizer")];
  const at = (days) => new Date(Math.ceil(Date.now() / DAY + days) * DAY).toISOString();
  const event = await ask("POST", "/api/events", { title: "Opera under the stars", description: "Two acts, one interval.\nBring a coat.", location: "Old harbour", timeZone: "Europe/Berlin",
    startsAt: at(12), ticketTypes: [{ name: "Stalls", capacity: 120, priceMinor: 4500 }, { name: "Balcony", capacity: 60, priceMinor: 2900 }] }, { token: organizer });
  await ask("POST", "/api/events", { title: "ליל ג׳אז", startsAt: at(3), totalTickets: 40, location: "Tel Aviv" }, { token: organizer });
  await ask("POST", "/api/events", { title: "Not yet announced", startsAt: at(40), totalTickets: 10, status: "draft" }, { token: organizer });
  const customer = await ask("POST", "/api/auth/login", { email: "c1@north.test", password: PASSWORD }, { tenant: "north" });
  await ask("POST", "/api/bookings", { eventId: event.id, lines: [{ ticketType: event.ticketTypes[0].id, quantity: 3 }] }, { token: customer.token });
  await ask("POST", "/api/holds", { eventId: event.id, lines: [{ ticketType: event.ticketTypes[1].id, quantity: 2 }] }, { token: customer.token });
  const policy = (await ask("GET", "/api/policy-catalogue", undefined, { token: owner })).items[0];
  await ask("POST", `/api/plugins/${policy.name}/activate`, { version: policy.version, config: policy.configExample }, { token: owner });
  return { event, policy };
}

/** Errors of the console are none. */
function noErrors(what) {
  assert.deepEqual(errors.splice(0), [], what);
}

const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();
const go = (page, section) => page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: section, exact: true }).click();

async function asRole(browser, role) {
  const { email, tenant, sees } = ROLES[role];
  const page = await open(browser, "/admin", "Sign in");
  await signIn(page, email, tenant, "Overview");
  if (role === "operator") {
    await look(page, "overview-installation");
    await page.getByRole("button", { name: "Look at it: north" }).click();
    await page.getByRole("heading", { name: "Upcoming events" }).waitFor();
  }
  const links = page.getByRole("navigation", { name: "Sections" }).getByRole("link");
  assert.deepEqual(await links.allInnerTexts(), sees, role);
  for (const [path, title] of Object.entries(HEADINGS)) {
    const section = OWNERS[Object.keys(HEADINGS).indexOf(path)];
    if (!sees.includes(section)) continue;
    await go(page, section);
    await heading(page, title);
    assert.equal(new URL(page.url()).pathname, path ? `/admin/${path}` : "/admin");
    await page.locator("main:not([aria-busy])").waitFor();
    await look(page, `${path || "overview"}-${role}`);
    noErrors(`${section} as ${role}`);
  }
  if (!sees.includes("Audit")) {
    await page.goto(`${host.url}/admin/audit`);
    await page.getByText("This is not for your role").waitFor();
    noErrors(`what is not for ${role}`);
  }
  return page;
}

/** A key is made, shown once, and taken back; the audit finds it. */
async function keys(page, busy) {
  await go(page, "API keys");
  await page.getByRole("button", { name: "Create a key" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Box <i>office</i>");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await dialog.getByText("Choose at least one thing that it may do.").waitFor();
  await dialog.getByLabel("bookings:read").check();
  await look(page, "key-form", { pictures: ["desk-light"] });
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  const secret = await dialog.getByLabel("Secret").inputValue();
  assert.match(secret, /^bo_/);
  await look(page, "key-secret");
  await dialog.getByRole("button", { name: "Done" }).click();
  const row = page.getByRole("row", { name: "Box <i>office</i>" });
  await row.waitFor();
  assert(!(await page.content()).includes(secret), "the secret is shown once");
  await look(page, "keys");
  await ask("GET", `/api/events/${busy.id}/bookings`, undefined, { token: secret });
  await row.getByRole("button", { name: "Revoke" }).click();
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await page.getByText("No API keys yet").waitFor();
  await go(page, "Audit");
  await page.getByLabel("Action").selectOption("revoke-key");
  await page.getByRole("cell", { name: "Create key" }).waitFor({ state: "detached" });
  await page.getByRole("cell", { name: "Revoke key" }).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  await page.getByLabel("Contains").fill("nobody of this name");
  await page.getByText("Nothing fits these filters").waitFor();
  await page.getByLabel("Contains").fill("");
  await page.getByLabel("Action").selectOption("");
  await page.getByRole("cell", { name: "Create key" }).waitFor();
  await look(page, "audit");
  noErrors("keys and the audit");
}

/** An event is found by its words, shows its numbers, and who booked by name. */
async function events(page, busy) {
  await go(page, "Events");
  await page.getByLabel("Search").fill("opera star");
  await page.getByRole("row", { name: "Jazz" }).waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Opera under the stars" }).click();
  await heading(page, "Opera under the stars");
  await page.getByRole("row", { name: /Stalls.*3 of 120/ }).waitFor();
  await page.getByRole("cell", { name: "Customer 1" }).waitFor();
  await look(page, "event", { pictures: ["desk-light", "phone-light"] });
  await page.goBack();
  await page.getByLabel("Search").waitFor();
  assert.equal(await page.getByLabel("Search").inputValue(), "opera star", "the way back leads to the same list");
  await page.getByLabel("Search").fill("");
  // What organizers type is text.
  await page.getByRole("link", { name: "Jazz <b>Night</b>" }).click();
  await heading(page, "Jazz <b>Night</b>");
  await page.getByLabel("Customer").fill("c17@north.test");
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("cell", { name: "Customer 18" }).waitFor({ state: "detached" });
  await page.getByRole("cell", { name: "Customer 17" }).waitFor();
  assert.equal(await page.getByRole("region", { name: "Bookings" }).locator("tbody tr").count(), 1);
  const loaded = page.waitForEvent("download");
  await page.getByRole("button", { name: "Bookings (CSV)" }).click();
  assert.equal((await loaded).suggestedFilename(), "bookings.csv");
  await page.getByRole("link", { name: "What customers were told" }).click();
  await page.getByText("What its customers were told").waitFor();
  await heading(page, "Jazz <b>Night</b>");
  await page.goto(`${host.url}/admin/events#/${busy.id}`);
  await heading(page, "Jazz <b>Night</b>");
  noErrors("events");
}

async function plugin(page, policy) {
  await go(page, "Plugins");
  await page.getByRole("region", { name: "Plugins in use" }).getByRole("link", { name: policy.name }).click();
  await heading(page, policy.name);
  await page.getByRole("heading", { name: "Calls of this host" }).waitFor();
  await look(page, "plugin");
  noErrors("a plugin");
}

/** On a phone the sections are behind a button, which works by keyboard. */
async function menu(page) {
  await page.setViewportSize(PHONE);
  const button = page.getByRole("button", { name: "Menu" });
  await button.focus();
  await page.keyboard.press("Enter");
  await look(page, "menu", { pictures: ["phone-light"], sizes: { phone: PHONE } });
  await page.setViewportSize(PHONE);
  await go(page, "Events");
  await heading(page, "Events");
  assert.equal(await button.getAttribute("aria-expanded"), "false");
  await page.getByRole("navigation", { name: "Sections" }).waitFor({ state: "hidden" });
  noErrors("the menu");
}

/** How long the first paint, and the overview of somebody who is signed in, take. */
async function speed(page) {
  await page.goto(`${host.url}/admin`);
  await heading(page, "Overview");
  const [paint, whole] = await page.evaluate(() => [performance.getEntriesByName("first-contentful-paint")[0].startTime, performance.now()]);
  console.log(`the console's first paint took ${Math.round(paint)} ms, its overview ${Math.round(whole)} ms`);
}

export async function sections(browser, busy) {
  const { policy } = await furnish();
  const began = Date.now();
  // At once: each has a browser's process, and looking takes the most of the time.
  const pages = await Promise.all(Object.keys(ROLES).map((role) => asRole(browser, role)));
  const [owner] = pages;
  await keys(owner, busy);
  await events(owner, busy);
  await plugin(owner, policy);
  await menu(owner);
  await speed(owner);
  // Customers have nothing to look after here.
  const customer = await open(browser, "/admin", "Sign in");
  await signIn(customer, "c1@north.test", "north", "Nothing to look after");
  noErrors("a customer");
  for (const page of [...pages, customer]) await page.context().close();
  console.log(`the sections took ${Math.round((Date.now() - began) / 1000)} s`);
}
