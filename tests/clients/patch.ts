// Changes a title, a ticket type and a setting with types generated from the description: what is not named stays as it was.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };
type Event = components["schemas"]["EventResponse"];
type Settings = components["schemas"]["TenantSettingsResponse"];

const [base, owner, organizer] = process.argv.slice(2) as [string, string, string];
const as = (token: string) => createClient<paths>({ baseUrl: base, headers: { Authorization: `Bearer ${token}`, "X-Tenant": "north" } });
const changes = as(organizer);
const decides = as(owner);

function found<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function same<T extends object>(left: T, right: T, but: (keyof T)[]): void {
  const rest = (all: T) => JSON.stringify(Object.fromEntries(Object.entries(all).filter(([name]) => !but.includes(name as keyof T))));
  if (rest(left) !== rest(right)) throw new Error(`${rest(left)}\n${rest(right)}`);
}

function must(holds: boolean, what: unknown): void {
  if (!holds) throw new Error(JSON.stringify(what));
}

const made: Event = found(
  await changes.POST("/api/events", {
    body: {
      title: "Jazz",
      date: "2027-05-01T20:00",
      timeZone: "Europe/Berlin",
      status: "draft",
      ticketTypes: [
        { name: "Floor", capacity: 100, priceMinor: 2500 },
        { name: "Balcony", capacity: 50, priceMinor: 4000 },
      ],
    },
  }),
);
const path = { id: made.id };
const types = made.ticketTypes;
const show = async () => found(await changes.GET("/api/events/{id}", { params: { path } }));
const at = (version: number) => ({ "If-Match": `"${version}"` });

// The title alone: neither published nor moved.
const changed = found(await changes.PATCH("/api/events/{id}", { params: { path, header: at(made.version) }, body: { title: "Jazz Night" } }));
must(changed.title === "Jazz Night", changed);
let seen = await show();
same(made, seen, ["title", "version", "updatedAt"]);

// A type's capacity alone: neither free nor without its neighbour.
const floor = found(
  await changes.PATCH("/api/events/{id}/ticket-types/{type}", {
    params: { path: { ...path, type: types[0]!.id }, header: at(seen.version) },
    body: { capacity: 120 },
  }),
);
must(floor.capacity === 120 && floor.priceMinor === 2500 && floor.name === "Floor", floor);
seen = await show();
must(seen.ticketTypes.length === 2, seen);
same(types[1]!, seen.ticketTypes[1]!, []);

// A setting alone.
const before: Settings = found(await decides.GET("/api/tenant/settings"));
const after: Settings = found(
  await decides.PATCH("/api/tenant/settings", { params: { header: at(before.version) }, body: { replyTo: "desk@north.test" } }),
);
must(after.replyTo === "desk@north.test", after);
same(before, after, ["replyTo", "version"]);

// A refusal is a Problem with a code that the types know.
const stale = await changes.PATCH("/api/events/{id}", { params: { path, header: at(1) }, body: { title: "Late" } });
must(stale.error?.code === "version-mismatch", stale);
console.log("a draft kept its status and zone, a ticket type its price, settings their values");
