// What the browser's tests share: the programs that they start, the API, and looking at a page with axe-core.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const tests = dirname(dirname(fileURLToPath(import.meta.url)));
export const required = (name) => {
  assert(process.env[name], `${name} is not set: run this with \`python3 tests/run.py\``);
  return process.env[name];
};
const packages = createRequire(join(required("BOXOFFICE_BROWSER"), "package.json"));
export const { chromium } = packages("playwright-core");
const axe = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");
export const PASSWORD = "correct horse battery";
// A debug build on a busy machine.
export const PATIENCE = 240_000;

// The program takes every BOXOFFICE_… for an option of its own.
export const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("BOXOFFICE_")));

// In memory where that is: this is about a page, and a busy disk makes forty mails last for minutes.
export const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "boxoffice-browser-"));
const started = [];
/** Where the host answers; known when it has started. */
export const host = { url: "" };

export function start(name, command, parameters, options, ready) {
  const child = spawn(command, parameters, { ...options, stdio: ["pipe", "pipe", "inherit"] });
  started.push(child);
  return new Promise((found, failed) => {
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
      const match = text.match(ready);
      if (match) found(match[1]);
    });
    child.on("exit", (code) => failed(new Error(`${name} ended with ${code}: ${text}`)));
  });
}

export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert(Date.now() < end, `not within ${PATIENCE / 1000} s: ${what}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

export async function ask(method, path, body, { token, tenant, etag } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (tenant) headers["X-Tenant"] = tenant;
  if (etag) headers["If-Match"] = etag;
  const answer = await fetch(host.url + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert(answer.ok, `${method} ${path} answered ${answer.status}: ${text}`);
  return text ? JSON.parse(text) : null;
}

export function control(faults) {
  const part = join(folder, "control.part");
  writeFileSync(part, JSON.stringify(faults));
  // The server reads at any moment: it must never see half a file.
  renameSync(part, join(folder, "control.json"));
}

export const errors = [];
export const expected = [];

export async function open(browser, path, heading) {
  const context = await browser.newContext({ viewport: DESK });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && errors.push(`${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(host.url + path);
  await page.getByRole("heading", { name: heading }).first().waitFor();
  return page;
}

export const looked = new Set();

/** Signs in with nothing but keys. */
export async function signIn(page, email, tenant, heading = "Lanes") {
  await page.getByLabel("E-mail address").focus();
  await page.keyboard.type(email);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Tab");
  if (tenant) await page.keyboard.type(tenant);
  await page.keyboard.press("Tab");
  if (!tenant) await page.keyboard.press("Space");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: heading }).waitFor();
}

const SCHEMES = ["light", "dark"];
const DESK = { width: 1280, height: 850 };
export const PHONE = { width: 390, height: 844 };

/**
 * Looks at a view as it is on a desk and on a phone, in light and dark: axe-core finds nothing, nothing is wider than the
 * screen. `pictures` are those to keep if asked, such as `desk-light`.
 */
export async function look(page, name, { pictures = ["desk-light"], sizes = { desk: DESK, phone: PHONE } } = {}) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() => window.axe.run());
      assert.deepEqual(violations.map((one) => `${name} (${size}, ${colorScheme}): ${one.help}: ${one.nodes[0].html}`), []);
      const picture = `${size}-${colorScheme}`;
      if (process.env.BOXOFFICE_SCREENS && (pictures.includes(picture) || process.env.BOXOFFICE_SCREENS_ALL)) {
        const suffix = picture === "desk-light" ? "" : `-${picture}`;
        await page.screenshot({ path: join(process.env.BOXOFFICE_SCREENS, `${name}${suffix}.png`) });
      }
    }
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(width <= viewport.width, `${name} is ${width} pixels wide where the screen has ${viewport.width}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(DESK);
  looked.add(name);
}

/** Ends what was started, and removes what it wrote. */
export function stop() {
  for (const child of started.reverse()) {
    child.removeAllListeners("exit");
    child.stdin.end();
    child.kill("SIGTERM");
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
}
