// Draws openapi.json: operations by tag, their parameters, bodies, answers and schemas.
// Everything from the document becomes text nodes, never markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Makes an element with attributes and children (nodes or texts). */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text with its `code` set as code. */
function prose(text) {
  const pieces = (text ?? "").split("`");
  return pieces.map((piece, index) => (index % 2 === 1 ? element("code", {}, piece) : piece));
}

function schemaName(schema) {
  return schema?.$ref?.split("/").pop();
}

function anchor(name) {
  return `schema-${name}`;
}

/** A schema in a few words, with links to those that have a name. */
function typeOf(schema) {
  if (!schema) return ["anything"];
  const name = schemaName(schema);
  if (name) return [element("a", { href: `#${anchor(name)}` }, name)];
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.flatMap((choice, index) => (index ? [" or ", ...typeOf(choice)] : typeOf(choice)));
  if (schema.allOf) return schema.allOf.flatMap((part, index) => (index ? [" with ", ...typeOf(part)] : typeOf(part)));
  const types = [schema.type ?? "object"].flat();
  const words = types.flatMap((type, index) => {
    const word = type === "array" ? ["list of ", ...typeOf(schema.items)] : [type];
    return index ? [" or ", ...word] : word;
  });
  if (schema.format && !/^int\d+$/.test(schema.format)) words.push(` (${schema.format})`);
  if (schema.minimum !== undefined && schema.maximum !== undefined) words.push(`, ${schema.minimum} to ${schema.maximum}`);
  else if (schema.minimum !== undefined) words.push(`, at least ${schema.minimum}`);
  else if (schema.maximum !== undefined) words.push(`, at most ${schema.maximum}`);
  if (schema.default !== undefined) words.push(`, else ${JSON.stringify(schema.default)}`);
  return words;
}

function row(...cells) {
  return element("tr", {}, ...cells.map((cell) => element("td", {}, ...[cell].flat())));
}

function table(heads, rows) {
  return element("table", {}, element("tr", {}, ...heads.map((head) => element("th", {}, head))), ...rows);
}

/** The properties of an object schema, those of its parts included. */
function properties(schema) {
  const parts = [schema, ...(schema.allOf ?? [])];
  const rows = parts.flatMap((part) =>
    Object.entries(part.properties ?? {}).map(([name, property]) =>
      row(
        [element("code", {}, name), (part.required ?? []).includes(name) ? "" : element("span", { class: "soft" }, " optional")],
        typeOf(property),
        prose(property.description),
      ),
    ),
  );
  const others = parts.filter((part) => part.$ref).flatMap((part) => [element("p", {}, "All of ", ...typeOf(part), ".")]);
  return [...others, rows.length ? table(["Field", "Type", "Meaning"], rows) : null];
}

function parameters(operation) {
  const all = operation.parameters ?? [];
  if (!all.length) return [];
  const rows = all.map((one) =>
    row(
      [element("code", {}, one.name), element("span", { class: "soft" }, ` ${one.in}${one.required ? "" : ", optional"}`)],
      typeOf(one.schema),
      prose(one.description),
    ),
  );
  return [element("h4", {}, "Parameters"), table(["Name", "Type", "Meaning"], rows)];
}

function content(holder) {
  const all = Object.entries(holder?.content ?? {});
  return all.flatMap(([type, body], index) => [index ? "; " : "", ...typeOf(body.schema), element("span", { class: "soft" }, ` ${type}`)]);
}

function body(operation) {
  if (!operation.requestBody) return [];
  return [element("h4", {}, "Body"), element("p", {}, ...content(operation.requestBody))];
}

function answers(operation) {
  const rows = Object.entries(operation.responses ?? {})
    .sort(([left], [right]) => left.localeCompare(right))
    .map(([status, answer]) => row(status, codes(status, answer.description), content(answer)));
  return [element("h4", {}, "Answers"), table(["Status", "When", "Body"], rows)];
}

/** A description; the error codes in one lead to their pages. */
function codes(status, text) {
  return prose(text).map((piece) =>
    status >= "400" && piece instanceof Element
      ? element("a", { href: `errors/${encodeURIComponent(piece.textContent)}` }, piece)
      : piece,
  );
}

function signIn(operation, everywhere) {
  const all = operation.security ?? everywhere ?? [];
  const without = all.length === 0 || all.some((one) => Object.keys(one).length === 0);
  const withToken = all.some((one) => Object.keys(one).length > 0);
  if (!withToken) return "No token needed.";
  return without ? "A token is optional." : "Needs a token: Authorization: Bearer.";
}

function operation(path, method, one, everywhere) {
  return element(
    "details",
    { id: one.operationId ?? `${method}${path}` },
    element(
      "summary",
      {},
      element("span", { class: `method ${method}` }, method),
      element("code", {}, path),
      element("span", { class: "soft" }, ` ${one.summary ?? ""}`),
    ),
    element("p", {}, ...prose(one.description)),
    element("p", { class: "soft" }, signIn(one, everywhere)),
    ...parameters(one),
    ...body(one),
    ...answers(one),
  );
}

function draw(description) {
  const main = document.getElementById("docs");
  const operations = Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, one: item[method] })),
  );
  const tags = description.tags ?? [];
  const nodes = [
    element("h1", {}, `${description.info.title} ${description.info.version}`),
    ...description.info.description.split("\n\n").map((text) => element("p", {}, ...prose(text))),
    element(
      "nav",
      {},
      ...tags.map((tag) => element("a", { href: `#tag-${tag.name}` }, tag.name)),
      element("a", { href: "#schemas" }, "schemas"),
      element("a", { href: "openapi.json" }, "openapi.json"),
    ),
  ];
  for (const tag of tags) {
    const own = operations.filter(({ one }) => (one.tags ?? []).includes(tag.name));
    if (!own.length) continue;
    nodes.push(element("h2", { id: `tag-${tag.name}` }, tag.name), element("p", {}, ...prose(tag.description)));
    nodes.push(...own.map(({ path, method, one }) => operation(path, method, one, description.security)));
  }
  nodes.push(element("h2", { id: "schemas" }, "schemas"));
  for (const [name, schema] of Object.entries(description.components?.schemas ?? {})) {
    nodes.push(
      element("h3", { id: anchor(name) }, name),
      element("p", {}, ...prose(schema.description)),
      ...properties(schema).filter((node) => node !== null),
    );
  }
  main.replaceChildren(...nodes);
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

fetch("openapi.json")
  .then((answer) => {
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  })
  .then(draw)
  .catch((error) => {
    document.getElementById("state").textContent = `openapi.json could not be read: ${error.message}`;
  });
