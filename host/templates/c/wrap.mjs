// Wraps a core module as a component: node wrap.mjs core.wasm plugin.wasm
//
// No adapter for WASI is given: a module that wants files, clocks or printf is refused here, with the import's name.

import { readFile, writeFile } from "node:fs/promises";
import { componentNew } from "@bytecodealliance/jco-transpile/wasm-tools";

const [from, to] = process.argv.slice(2);
await writeFile(to, await componentNew(await readFile(from)));
