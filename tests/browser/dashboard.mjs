// Tries the dashboard in a real browser, against a real host with a real SMTP server.
//
// Goal: who looks after what goes out signs in by keyboard, watches mails go out, opens a delivery that failed, tries it again
// and sees it sent; another tenant sees nothing of it; a reminder is moved and cancelled; an operator stops a lane, which all see,
// and lets it go on; nothing is written to the console as an error; and axe-core finds no serious fault, in light and dark, on
// a desk and on a phone. The start page leads to the API docs, where a sign-in and a booking can be tried.
//
// Method: `boxoffice dev` with mails to tests/smtp_server.py, which is slow, and refuses recipients whose name ends in 7 until it
// is told otherwise. Run by tests/run.py, which sets BOXOFFICE_BIN, BOXOFFICE_PYTHON, BOXOFFICE_AIOSMTPD, BOXOFFICE_CHROMIUM and
// BOXOFFICE_BROWSER (a folder with playwright-core and axe-core). BOXOFFICE_SCREENS=DIR writes a picture of each view.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { PASSWORD, ask, chromium, control, environment, errors, expected, folder, host, look, looked, open, required, signIn, start, stop, tests, until } from "./kit.mjs";
import { sections } from "./sections.mjs";

const CUSTOMERS = 40;

/** Two tenants with owners, and in one an event that many have booked. */
async function world() {
  const added = spawnSync(required("BOXOFFICE_BIN"), ["operator", "add", "--data", join(folder, "data"), "--name", "Olivia",
    "--email", "olivia@boxoffice.test", "--password-stdin"], { input: `${PASSWORD}\n`, encoding: "utf8", env: environment });
  assert.equal(added.status, 0, added.stderr);
  const smtp = await start("the SMTP server", required("BOXOFFICE_PYTHON"), [join(tests, "smtp_server.py"), "--folder", folder,
    "--control", join(folder, "control.json"), "--host", "127.0.0.1", "--port", "0"],
    { env: { ...environment, PYTHONPATH: required("BOXOFFICE_AIOSMTPD") } }, /listening (\S+)/);
  const [name, port] = smtp.split(":");
  const config = join(folder, "boxoffice.toml");
  writeFileSync(config, `[mail]\nkind = "smtp"\n[mail.smtp]\nhost = "${name}"\nport = ${port}\ntls = "none"\nconnections_max = 2\n`);
  host.url = await start("boxoffice dev", required("BOXOFFICE_BIN"), ["dev", "--data", join(folder, "data"), "--listen", "127.0.0.1:0", "--config", config],
    { env: environment }, /listening on (\S+)/);
  const { token } = await ask("POST", "/api/operator/login", { email: "olivia@boxoffice.test", password: PASSWORD });
  for (const tenant of ["north", "south"]) {
    await ask("POST", "/api/operator/tenants", { id: tenant, name: tenant, organizersMayRegister: true }, { token });
    await ask("POST", `/api/operator/tenants/${tenant}/users`, { email: `owen@${tenant}.test`, name: "Owen", password: PASSWORD, role: "owner" }, { token });
  }
  const owner = await ask("POST", "/api/auth/login", { email: "owen@north.test", password: PASSWORD }, { tenant: "north" });
  const event = await ask("POST", "/api/events", { title: "Jazz <b>Night</b>", startsAt: "2031-05-01T20:00:00Z", totalTickets: 100 }, { token: owner.token });
  for (let number = 0; number < CUSTOMERS; number += 1) {
    const body = { email: `c${number}@north.test`, name: `Customer ${number}`, password: PASSWORD, role: "customer" };
    const customer = await ask("POST", "/api/auth/register", body, { tenant: "north" });
    await ask("POST", "/api/bookings", { eventId: event.id, numTickets: 1 }, { token: customer.token });
  }
  // One that reminds its customers, in years.
  const later = { title: "Late Night", startsAt: "2031-06-01T20:00:00Z", totalTickets: 10, reminderMinutes: 1440 };
  await ask("POST", "/api/events", later, { token: owner.token });
  return { owner, event };
}

/** Follows `/` to the API docs, signs in there, and books with the form. */
async function tryApi(browser) {
  const page = await open(browser, "/", "Book 2 tickets");
  await look(page, "start");
  const cells = page.getByRole("row", { name: "customer" }).locator("code");
  const [email, password] = await cells.allTextContents();
  const event = (await page.locator("pre").innerText()).match(/"eventId":"(\w+)"/)[1];
  await page.getByRole("link", { name: "API docs" }).click();
  await page.getByRole("heading", { name: /Boxoffice/ }).waitFor();
  const send = async (id, body, tenant) => {
    const operation = page.locator(`[id="operations-${id}"]`);
    await operation.locator(".opblock-summary-control").click();
    if (tenant) await operation.getByPlaceholder("X-Tenant").fill(tenant);
    await operation.locator("textarea.body-param__text").fill(JSON.stringify(body));
    await operation.getByRole("button", { name: "Execute" }).click();
    return operation.locator(".live-responses-table .response-col_status").last().innerText();
  };
  await page.locator("#operations-tag-auth button.expand-operation").click();
  assert.match(await send("auth-auth_login", { email, password }, "demo"), /^200/);
  await page.locator("#operations-tag-bookings button.expand-operation").click();
  const booked = await send("bookings-bookings_create", { eventId: event, numTickets: 2 });
  assert.match(booked, /^201/, "the sign-in was taken over");
  const width = async () => page.evaluate(() => document.documentElement.scrollWidth);
  await page.setViewportSize({ width: 390, height: 800 });
  assert(await width() <= 390, `the API docs are ${await width()} pixels wide on a phone`);
  assert.deepEqual(errors, [], "no errors on the console, refused scripts and styles among them");
  await page.context().close();
}

async function run(browser) {
  const { owner, event } = await world();
  await tryApi(browser);
  const page = await open(browser, "/admin/queues", "Sign in");
  await look(page, "sign-in");
  await signIn(page, "owen@north.test", "north");
  await page.getByText("1 alive").waitFor();

  // Mails go out, one after another, and the page moves by itself.
  const refuse = "550 5.7.1 <b>not</b> today";
  control({ delayMillis: 150, refuse, ending: "7" });
  const path = `/api/events/${event.id}`;
  const changed = await ask("PATCH", path, { location: "New Hall" }, { token: owner.token, etag: '"1"' });
  const notification = changed.notification.id;
  const link = page.locator(`a[href$="#/notification/${notification}"]`);
  await link.waitFor();
  await look(page, "lanes", { pictures: ["desk-light", "phone-light"] });
  await page.evaluate((id) => { location.hash = `#/notification/${id}`; }, notification);
  await page.getByRole("heading", { name: "All deliveries" }).waitFor();
  const bar = page.locator("main progress");
  const seen = new Set();
  await until("the fan-out to move and end", async () => {
    const [value, max] = await bar.evaluate((element) => [element.value, element.max]);
    seen.add(value);
    // It was seen to move: the rest need not take long.
    if (seen.size === 3) control({ refuse, ending: "7" });
    return value === max && max === CUSTOMERS;
  });
  assert(seen.size >= 3, `it moved in steps: ${[...seen]}`);

  // A failed delivery: its words are text, whatever a server says.
  await page.goto(`${host.url}/admin/queues#/failed`);
  await page.reload();
  await page.getByRole("heading", { name: "By reason" }).waitFor();
  await page.getByText("550 5.7.1 <b>not</b> today").first().waitFor();
  await look(page, "failed");
  await page.getByRole("link", { name: "Search" }).click();
  await page.getByLabel("Address, id, booking number").fill("5.7.1");
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("heading", { name: "Failed with 5.7.1" }).waitFor();
  assert.equal(await page.locator("main tbody tr").count(), 4);
  // Recipients have names, not ids.
  await page.getByRole("cell", { name: "Customer 27" }).waitFor();
  await page.getByRole("link", { name: "All that failed" }).click();
  await page.getByRole("link", { name: "one of them" }).click();
  await page.getByRole("heading", { name: "What happened" }).waitFor();
  const timeline = page.locator("ol.timeline");
  assert.match(await timeline.innerText(), /550 5\.7\.1 <b>not<\/b> today/);
  await look(page, "delivery");
  control({});
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByLabel("Why").fill("their server is well again");
  await look(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Try again" }).click();
  await until("the delivery to be sent", async () => (await page.locator("#state").textContent()).startsWith("Sent"));
  assert.match(await timeline.innerText(), /Dead[\s\S]*not[\s\S]*Sent[\s\S]*250/);

  // The rest of them at once, counted first.
  await page.getByRole("link", { name: "Failed", exact: true }).click();
  await page.getByRole("button", { name: "Try all again" }).click();
  await page.getByText("3 deliveries would be tried again.").waitFor();
  await page.getByLabel("Why").fill("all of them");
  await page.getByRole("dialog").getByRole("button", { name: "Try again" }).click();
  await page.getByText("3 wait for a worker.").waitFor();
  await until("nothing to have failed", async () => {
    await page.reload();
    await page.getByRole("heading", { name: "By reason" }).waitFor();
    return (await page.getByText("Nothing has failed.").count()) > 0;
  });

  // Found by what names it, and written down who did what.
  await page.getByRole("link", { name: "Search" }).click();
  await page.getByLabel("Address, id, booking number").fill("c17@north.test");
  await look(page, "search");
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("heading", { name: "Customer 17" }).waitFor();
  await page.getByRole("link", { name: "Booking confirmed" }).waitFor();
  await look(page, "customer");
  await page.getByRole("link", { name: "Notifications" }).click();
  await page.getByRole("link", { name: "Event updated" }).waitFor();
  await look(page, "notifications");
  await page.getByRole("link", { name: "Event updated" }).click();
  await page.getByRole("heading", { name: "All deliveries" }).waitFor();
  await page.getByLabel("State").selectOption("suppressed");
  await page.getByText("None.", { exact: true }).waitFor();
  await page.getByLabel("State").selectOption("sent");
  await page.getByRole("link", { name: "Event updated" }).first().waitFor();
  await look(page, "notification");

  // What is due later is moved, and cancelled.
  await page.getByRole("link", { name: "Schedules" }).click();
  await page.getByRole("link", { name: "Event reminder" }).waitFor();
  await look(page, "schedules");
  await page.getByRole("button", { name: "Move" }).click();
  const soon = new Date(Date.now() + 7 * 24 * 3600 * 1000).toISOString().slice(0, 16);
  await page.getByLabel("Goes out at").fill(soon);
  await page.getByLabel("Why").fill("earlier is better");
  await look(page, "move");
  await page.getByRole("dialog").getByRole("button", { name: "Move" }).click();
  await page.getByText("Moved.").waitFor();
  await page.getByRole("button", { name: "Cancel for good" }).click();
  await page.getByLabel("Why").fill("it says it all by itself");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel for good" }).click();
  await page.getByText("Nothing is scheduled.").waitFor();
  await page.getByRole("link", { name: "Audit" }).click();
  await page.getByText("their server is well again").waitFor();

  // Another tenant's owner has nothing of it.
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  // The page stays at the view that one signed out of.
  await page.goto(`${host.url}/admin/queues#/`);
  await signIn(page, "owen@south.test", "south");
  assert.deepEqual(errors, [], "no errors on the console until here");
  await page.evaluate((id) => { location.hash = `#/notification/${id}`; }, notification);
  await page.getByRole("heading", { name: "That did not work" }).waitFor();
  await page.getByRole("link", { name: "Audit" }).click();
  await page.getByText("Nobody has done anything yet.").waitFor();
  // A browser writes every refused request to the console: this one was to be refused.
  expected.push(...errors.splice(0));
  assert(expected.every((error) => error.includes("404") && error.includes(notification)), expected.join("\n"));
  await page.context().close();

  // An operator sees the lanes, and any tenant by name.
  const operator = await open(browser, "/admin/queues", "Sign in");
  await signIn(operator, "olivia@boxoffice.test");
  await operator.getByRole("heading", { name: "Bulk" }).waitFor();
  await operator.getByRole("combobox", { name: "Tenant" }).fill("north");
  await operator.keyboard.press("Enter");
  await operator.getByRole("link", { name: "Notifications" }).click();
  await operator.getByRole("link", { name: "Event updated" }).waitFor();
  await operator.getByRole("link", { name: "Lanes" }).click();
  await operator.getByRole("heading", { name: "Bulk" }).waitFor();
  await operator.getByText("Answers").first().waitFor();
  await look(operator, "operator");

  // A lane that stands still is nothing to overlook, whoever looks.
  await operator.getByRole("button", { name: "Stop the lane: bulk" }).click();
  await operator.getByLabel("Why").fill("the provider asked us to");
  await operator.getByRole("dialog").getByRole("button", { name: "Stop the lane" }).click();
  await operator.getByRole("alert").getByText("The lane bulk is stopped by operator olivia@boxoffice.test").waitFor();
  await look(operator, "stopped");
  await operator.getByRole("button", { name: "Let it go on: bulk" }).click();
  await operator.getByLabel("Why").fill("they are content");
  await operator.getByRole("dialog").getByRole("button", { name: "Let it go on" }).click();
  await until("the alarm to end", async () => (await operator.locator("#alarm").textContent()) === "");
  await operator.getByRole("combobox", { name: "Tenant" }).fill("");
  await operator.getByRole("combobox", { name: "Tenant" }).press("Enter");
  await operator.getByRole("link", { name: "Audit" }).click();
  await operator.getByText("the provider asked us to").waitFor();
  assert.deepEqual(errors, []);
  await operator.context().close();
  await sections(browser, event);
}

let browser;
try {
  browser = await chromium.launch({ executablePath: required("BOXOFFICE_CHROMIUM"), args: ["--no-sandbox"] });
  await run(browser);
  console.log(`the console does what it should; axe-core looked at: ${[...looked].join(", ")}`);
} finally {
  await browser?.close();
  stop();
}
process.exit(0);
