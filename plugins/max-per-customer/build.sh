#!/bin/sh
# Builds max-per-customer.wasm from policy.c: first a core module, then the component around it.
set -eu
mkdir -p build
python3 -m ziglang cc --target=wasm32-wasi -Os -s -mexec-model=reactor -Wl,-z,stack-size=65536 -Wall -Wextra -Werror -Wno-unused-parameter \
  -I ../../host/templates/c \
  policy.c bindings/policy.c bindings/policy_component_type.o -o build/core.wasm
node wrap.mjs build/core.wasm max-per-customer.wasm
