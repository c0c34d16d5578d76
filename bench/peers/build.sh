#!/usr/bin/env bash
# Builds the peers for this machine from their PyPI source packages, hashes pinned, a virtual
# environment each: .deps/peers/llama_cpp and .deps/peers/ik_llama_cpp. Takes some ten minutes each.
#   bench/peers/build.sh [llama_cpp|ik_llama_cpp]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for peer in "${@:-llama_cpp}"; do
  requirements=bench/peers/requirements-$peer.txt
  [ -f "$requirements" ] || { echo "build: no peer $peer" >&2; exit 64; }
  [ -x ".deps/peers/$peer/bin/pip" ] || python3 -m venv ".deps/peers/$peer"
  echo "build: $(grep -o '^[a-z].*==[0-9.]*' "$requirements" | xargs)"
  CMAKE_ARGS="-DGGML_NATIVE=ON" ".deps/peers/$peer/bin/pip" --disable-pip-version-check install -q \
    --no-deps --require-hashes --no-binary llama-cpp-python,ik-llama-cpp-python -r "$requirements"
done
