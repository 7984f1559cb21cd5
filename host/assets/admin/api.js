// Asking the API, as any other client does: with the session's cookies, and the header that only this page sends.

/** The addresses below which the API and the session are, whatever prefix the host has. */
const API = new URL("../../api/", import.meta.url);
const SESSION = new URL("../session", import.meta.url);
export const BASE = new URL("../", import.meta.url).pathname;
export const PREFIX = new URL("../../", import.meta.url).pathname;

/** What is known about whoever is signed in. `tenant` is the one that an operator chose; others have their own. */
export const state = { session: null, csrf: "", tenant: "", overview: null, rates: [], paces: [], progress: new Map(), onSight: null };

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code || null;
    this.field = problem.field || null;
    this.problem = problem;
  }
}

/** The tenant whose things are shown; empty for an operator who looks at all. */
export const tenantShown = () => state.session?.tenant || state.tenant;
export const isRole = (...roles) => roles.includes(state.session?.role);

export function headers() {
  const own = { "X-CSRF-Token": state.csrf };
  if (state.tenant) own["X-Tenant"] = state.tenant;
  return own;
}

async function send(method, url, body, own) {
  const sent = { ...own };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { detail: "The server cannot be reached. Check the connection, then try again." });
  }
  return answer;
}

async function content(answer) {
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

/** Calls the API; a token that is over is renewed once. */
export async function ask(method, path, body) {
  return content(await call(method, path, body));
}

/** The same, for an answer that is a file. */
export async function askFile(path) {
  const answer = await call("GET", path);
  if (!answer.ok) await content(answer);
  return answer.blob();
}

async function call(method, path, body) {
  const url = new URL(path, API);
  const answer = await send(method, url, body, headers());
  if (answer.status !== 401 || !(await refresh())) return answer;
  return send(method, url, body, headers());
}

/** Calls the page's own session. */
export async function session(method, path = "", body = undefined) {
  return content(await send(method, SESSION + path, body, state.csrf ? { "X-CSRF-Token": state.csrf } : {}));
}

let renewing = null;

/** Renews the tokens; several at the same moment wait for one answer. Returns whether somebody is signed in. */
export function refresh() {
  renewing ||= session("POST", "/refresh").then((found) => take(found), () => {
    state.signedOut();
    return false;
  }).finally(() => (renewing = null));
  return renewing;
}

/** Takes over a session that was opened or renewed. */
export function take(found) {
  state.session = found;
  state.csrf = found.csrfToken;
  clearTimeout(take.timer);
  // Well before the token is over; a page that sleeps asks again when it wakes.
  take.timer = setTimeout(refresh, (found.expiresInSeconds * 1000) / 2);
  return true;
}

export function forget() {
  clearTimeout(take.timer);
  Object.assign(state, { session: null, csrf: "", tenant: "" });
  known.clear();
}

/** What was looked up by id: names of events and people. Forgotten with the tenant. */
const known = new Map();
const KNOWN_MAX = 500;

export function forgetNames() {
  known.clear();
}

/** An answer that is kept for as long as the tenant is shown; null if there is none that may be read. */
export function lookUp(path) {
  if (!known.has(path)) {
    if (known.size >= KNOWN_MAX) known.clear();
    known.set(path, ask("GET", path).catch((error) => {
      if (error.status !== 404 && error.status !== 403) known.delete(path);
      return null;
    }));
  }
  return known.get(path);
}

/** Reads a stream of server-sent events until it ends: `told` gets the name and the data of each. */
export async function stream(path, signal, told, more = {}) {
  const url = new URL(path, API);
  let answer = await fetch(url, { headers: { ...headers(), ...more }, signal });
  if (answer.status === 401 && (await refresh())) answer = await fetch(url, { headers: { ...headers(), ...more }, signal });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).replace(/^ /, ""));
      const data = field("data").join("\n");
      if (data) told(field("event")[0] || "", JSON.parse(data), field("id")[0] || "");
    }
  }
}
