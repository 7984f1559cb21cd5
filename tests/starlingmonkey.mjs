// Builds a plugin's JavaScript with StarlingMonkey: node starlingmonkey.mjs policy.js WIT-FOLDER WORLD plugin.wasm
//
// Called by guests.py in a folder where componentize-js is installed. Nothing of WASI is left in: the contract grants none.

import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, worldName, to] = process.argv.slice(2);
const disableFeatures = ["stdio", "random", "clocks", "http", "fetch-event"];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(to, component);
