// Write a Boxoffice plugin in JavaScript or TypeScript: `policy` and `template` make the exports of the component.
//
// They check the configuration and the answer. QuickJS, which componentize-qjs puts into a component, converts numbers without an
// error: a price of NaN becomes 0, 12.5 becomes 12 and -1 becomes 4294967295. Here such an answer throws instead: the call fails,
// the booking is refused, and the plugin's log says why. It also takes every u32 for a signed number, which is mended here.

import { log } from "boxoffice:plugin/host@0.1.0";

/** The largest price and count of the contract, its `u32`. */
const U32_MAX = 4_294_967_295;

/** What a template throws for a kind that it leaves to the built-in words: the `err` of the contract. */
const NOT_MINE = "not mine";

/** Whether numbers go out as signed ones: only componentize-qjs has this global. */
const GOES_OUT_SIGNED = "wit" in globalThis;

export const debug = (message) => log("debug", String(message));
export const info = (message) => log("info", String(message));
export const warn = (message) => log("warn", String(message));
export const error = (message) => log("error", String(message));

/** Makes the export `bookingPolicy`. */
export function policy({ settings = {}, validateBooking, validateCancellation = accept }) {
  return {
    validateBooking: logged((request, config) => {
      const decision = validateBooking(asSent(request), read(settings, config));
      return checkedDecision(decision, request.lines.length);
    }),
    validateCancellation: logged((request, config) => {
      const decision = validateCancellation(asSent(request), read(settings, config));
      return checkedDecision(decision);
    }),
  };
}

/** Makes the export `notificationTemplate`. */
export function template({ settings = {}, render }) {
  return {
    render(request, config) {
      const { kind, locale, dataJson } = request;
      let rendered;
      try {
        rendered = render({ kind, locale, data: JSON.parse(dataJson) }, read(settings, config));
        rendered = rendered === null ? null : checkedRendered(rendered);
      } catch (thrown) {
        error(described(thrown));
        // Thrown here it would be the `err` of the contract, which is no failure. This is no mail, which is one.
        return undefined;
      }
      if (rendered === null) throw NOT_MINE;
      return rendered;
    },
  };
}

/** A yes. */
export function accept() {
  return { tag: "accept" };
}

/** A no: a code for programs, one line for the customer. */
export function reject(code, reason) {
  return { tag: "reject", val: { code, reason } };
}

/** A yes at other prices: one for each line of the request, in the same order. */
export function adjust(unitPricesMinor, messages = []) {
  return { tag: "adjust", val: { unitPricesMinor, messages } };
}

/** A setting that is a whole number. */
export function wholeNumber({ min = 0, max = U32_MAX, default: fallback } = {}) {
  return setting(fallback, `a whole number from ${min} to ${max}`, (value) => isWhole(value, min, max));
}

/** A setting that is a text. */
export function text({ default: fallback } = {}) {
  return setting(fallback, "a text", (value) => typeof value === "string" && value !== "");
}

/** A setting that is true or false. */
export function flag({ default: fallback } = {}) {
  return setting(fallback, "true or false", (value) => typeof value === "boolean");
}

/** Makes text safe inside HTML elements and quoted attributes. */
export function escaped(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

/** A setting: a function that takes its value and name, and returns the value or throws. */
function setting(fallback, wanted, fits) {
  return (value, name) => {
    if (value === undefined && fallback !== undefined) return fallback;
    if (!fits(value)) throw new TypeError(`${name}: ${shown(value)} is not ${wanted}`);
    return value;
  };
}

/** Reads the tenant's configuration. An unknown name throws too: a misspelt one must not decide by defaults. */
function read(settings, config) {
  try {
    const values = new Map(Object.entries(JSON.parse(config)));
    for (const name of values.keys()) {
      if (!Object.hasOwn(settings, name)) throw new TypeError(`${name}: there is no such setting`);
    }
    const checked = Object.entries(settings).map(([name, check]) => [name, check(values.get(name), name)]);
    return Object.fromEntries(checked);
  } catch (thrown) {
    throw new TypeError(`the configuration does not fit: ${thrown.message}`);
  }
}

/** A request with every number as it was sent. All numbers of the contract are u32; from 2147483648 on QuickJS shows them negative. */
function asSent(value) {
  if (typeof value === "number") return value >>> 0;
  if (Array.isArray(value)) return value.map(asSent);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asSent(member)]));
}

/** A decision as the contract has it. Without a number of lines it is about a cancellation, which has no prices. */
function checkedDecision(decision, lines) {
  const tag = decision?.tag;
  if (tag === "accept") return accept();
  if (tag === "reject") return reject(checkedText(decision.val?.code, "code"), checkedText(decision.val?.reason, "reason"));
  if (tag !== "adjust" || lines === undefined) {
    const wanted = lines === undefined ? "accept() or reject(…)" : "accept(), reject(…) or adjust(…)";
    throw new TypeError(`${shown(tag ?? decision)} is no decision; return ${wanted}`);
  }
  const { unitPricesMinor, messages } = decision.val ?? {};
  const prices = checkedArray(unitPricesMinor, "unitPricesMinor", checkedPrice);
  if (prices.length !== lines) {
    throw new RangeError(`unitPricesMinor: ${prices.length} prices for ${lines} lines; one for each line is wanted`);
  }
  return adjust(prices, checkedArray(messages, "messages", checkedText));
}

function checkedRendered(rendered) {
  return {
    subject: checkedText(rendered?.subject, "subject"),
    text: checkedText(rendered?.text, "text"),
    html: checkedText(rendered?.html, "html"),
  };
}

/** An array with every item checked. A typed array is refused, because it has turned NaN into 0 already. */
function checkedArray(items, name, check) {
  if (!Array.isArray(items)) throw new TypeError(`${name}: ${shown(items)} is not an Array`);
  return Array.from(items, (item, index) => check(item, `${name}[${index}]`));
}

function checkedPrice(price, name) {
  if (!isWhole(price, 0, U32_MAX)) {
    throw new RangeError(`${name}: ${shown(price)} is not a whole number from 0 to ${U32_MAX}; round prices, and check what they are made of`);
  }
  return GOES_OUT_SIGNED ? price | 0 : price;
}

function checkedText(value, name) {
  if (typeof value !== "string") throw new TypeError(`${name}: ${shown(value)} is not a text`);
  return value;
}

function isWhole(value, min, max) {
  return Number.isInteger(value) && value >= min && value <= max;
}

/** A function whose errors are in the plugin's log, also where the engine prints none. */
function logged(call) {
  return (request, config) => {
    try {
      return call(request, config);
    } catch (thrown) {
      error(described(thrown));
      throw thrown;
    }
  };
}

function described(thrown) {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : shown(thrown);
}

/** A value for a message; short, because a log line is. */
function shown(value) {
  if (value === undefined) return "nothing";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
