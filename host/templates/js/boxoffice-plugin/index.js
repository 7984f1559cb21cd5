// Write a Boxoffice plugin in JavaScript or TypeScript: `policy` and `template` make the exports of the component.
//
// They check the configuration and the answer. QuickJS, which componentize-qjs puts into a component, converts numbers without an
// error: a price of NaN becomes 0, 12.5 becomes 12 and -1 becomes 4294967295. Here such an answer throws instead: the call fails,
// the booking is refused, and the plugin's log says why. It also takes every u32 for a signed number, which is mended here.

import { log } from "boxoffice:plugin/host@0.2.0";

/** The largest price and count of the contract, its `u32`. */
const U32_MAX = 4_294_967_295;

/** The most that one claim takes. */
const CLAIM_AMOUNT_MAX = 1000;

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

/** A yes. It may tell the customer something, and take of the tenant's counters. */
export function accept({ messages = [], claims = [] } = {}) {
  const isPlain = messages.length === 0 && claims.length === 0;
  return isPlain ? { tag: "accept" } : adjust(null, messages, claims);
}

/** A no: a code for programs, one line for the customer. */
export function reject(code, reason) {
  return { tag: "reject", val: { code, reason } };
}

/** A yes at other prices: one for each line of the request, in the same order; `null` leaves them as they are. */
export function adjust(unitPricesMinor, messages = [], claims = []) {
  return { tag: "adjust", val: { unitPricesMinor, messages, claims } };
}

/** A claim: takes an amount of one of the tenant's counters, of which all bookings together may take `limit`. */
export function claim(key, limit, amount = 1) {
  return { key, limit, amount };
}

/** The answer to a question, `undefined` if there is none: of a booking's details, or of an attendee. */
export function answer(from, question) {
  return from.answers.find((one) => one.question === question)?.value.val;
}

/** The metadata under a key, `undefined` if there are none: of an event, a ticket type, or a booking's details. */
export function metadata(from, key) {
  return from.metadata.find((one) => one.key === key)?.value;
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

/** A request with every number as it was sent. They are u32, and from 2147483648 on QuickJS shows them negative; but not in answers. */
function asSent(value) {
  if (typeof value === "number") return value >>> 0;
  if (Array.isArray(value)) return value.map(asSent);
  if (value === null || typeof value !== "object" || value.tag === "number") return value;
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
  const { unitPricesMinor, messages, claims } = decision.val ?? {};
  const prices = unitPricesMinor === null ? null : checkedArray(unitPricesMinor, "unitPricesMinor", checkedPrice);
  if (prices !== null && prices.length !== lines) {
    throw new RangeError(`unitPricesMinor: ${prices.length} prices for ${lines} lines; one for each line is wanted`);
  }
  return adjust(prices, checkedArray(messages, "messages", checkedText), checkedArray(claims, "claims", checkedClaim));
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
  return asSigned(price);
}

function checkedClaim(claim, name) {
  const { key, limit, amount } = claim ?? {};
  if (!isWhole(limit, 0, U32_MAX)) throw new RangeError(`${name}.limit: ${shown(limit)} is not a whole number from 0 to ${U32_MAX}`);
  if (!isWhole(amount, 1, CLAIM_AMOUNT_MAX)) {
    throw new RangeError(`${name}.amount: ${shown(amount)} is not a whole number from 1 to ${CLAIM_AMOUNT_MAX}`);
  }
  return { key: checkedText(key, `${name}.key`), limit: asSigned(limit), amount };
}

function asSigned(number) {
  return GOES_OUT_SIGNED ? number | 0 : number;
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
