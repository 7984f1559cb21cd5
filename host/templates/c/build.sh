#!/bin/sh
# Builds {{name}}.wasm from plugin.c: first a core module, then the component around it.
set -eu
mkdir -p build
python3 -m ziglang cc --target=wasm32-wasi -Os -s -mexec-model=reactor -Wl,-z,stack-size=65536 -Wall -Wextra -Werror -Wno-unused-parameter \
  plugin.c bindings/{{kind}}.c bindings/{{kind}}_component_type.o -o build/core.wasm
node wrap.mjs build/core.wasm {{name}}.wasm
