// The live overview of what goes out: one stream for the whole page, whichever section is shown.

import { Refused, state, stream } from "./api.js";
import { alarm, done, full } from "./page.js";

// Ten minutes of points, as the server keeps them.
const PACES_MAX = 120;

/** Begins again, for the tenant that is shown now. */
export async function watch() {
  stopWatching();
  const stopping = new AbortController();
  state.stream = stopping;
  while (!stopping.signal.aborted && state.session) {
    try {
      await stream("admin/live", stopping.signal, (name, data) => (TOLD[name] || seen)(data));
    } catch (error) {
      if (stopping.signal.aborted || !state.session) return;
      if (error instanceof Refused && [401, 403, 404].includes(error.status)) return;
      alarm(["The live connection is down; trying again."]);
    }
    await new Promise((wake) => setTimeout(wake, 2000));
  }
}

export function stopWatching() {
  state.stream?.abort();
  Object.assign(state, { stream: null, overview: null, rates: [], paces: [] });
  state.progress.clear();
}

/** The stream's other messages. */
const TOLD = {
  paces: (points) => (state.paces = points),
  failing: ({ detail }) => alarm([`What stands here is old: ${detail}`]),
};

function seen(overview) {
  const at = Date.parse(overview.at);
  // Workers say every few seconds what they have sent since they started; a rate is what was added since.
  const sent = overview.workers.reduce((sum, worker) => sum + worker.sent, 0);
  const last = state.rates.at(-1);
  if (!last || last.sent !== sent || at - last.at > 6000) {
    const rate = last && at > last.at ? Math.max(0, (sent - last.sent) / ((at - last.at) / 1000)) : 0;
    state.rates.push({ at, sent, rate });
    if (state.rates.length > 60) state.rates.shift();
  }
  for (const notification of overview.active) {
    const before = state.progress.get(notification.id);
    const now = { at, done: done(notification.deliveries), rate: before ? before.rate : 0 };
    if (before && at > before.at) {
      const rate = (now.done - before.done) / ((at - before.at) / 1000);
      now.rate = before.rate * 0.7 + Math.max(0, rate) * 0.3;
    }
    state.progress.set(notification.id, now);
  }
  if (state.progress.size > 200) state.progress.clear();
  state.overview = overview;
  if (overview.paces && state.paces.at(-1)?.at !== overview.paces.at) {
    state.paces.push(overview.paces);
    if (state.paces.length > PACES_MAX) state.paces.shift();
  }
  alarm(troubles(overview));
  state.onSight?.(overview);
}

/** What nobody may overlook. */
function troubles(overview) {
  const lines = overview.workers.some((worker) => worker.isAlive) ? [] : ["No workers: nothing goes out until one runs."];
  for (const pause of overview.pausedLanes) {
    lines.push(`The lane ${pause.lane} is stopped by ${pause.who || "an operator"} since ${full(pause.at)}: nothing of it goes out.`
      + (pause.why ? ` Why: ${pause.why}` : ""));
  }
  if (overview.health && !overview.health.queue.answers) lines.push("The queue does not answer: mails wait in the database until it does.");
  return lines;
}
