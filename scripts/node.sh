#!/bin/sh
# Installs what the tests run in Node.js into tests/node/node_modules; instant when nothing changed.
set -eu
cd "$(dirname "$0")/../tests/node"

stamp=node_modules/.installed
fingerprint=$(cksum <package.json)

main() {
    find_missing
    if [ -n "$missing" ]; then
        give_up "not installed, or older than Node.js 18: $missing" "未安装或低于 Node.js 18：$missing" "sudo apt-get install $missing"
    fi
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$fingerprint" ]; then
        exit 0
    fi
    echo "installing what the tests run in Node.js ..."
    install
    echo "$fingerprint" >"$stamp"
}

find_missing() {
    missing=
    usable node || missing=nodejs
    command -v npm >/dev/null || missing="${missing:+$missing }npm"
}

usable() {
    "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' 2>/dev/null
}

# A lock file would name the registry of whoever wrote it. Packages have no need to run anything on their way in.
install() {
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! npm install --no-package-lock --ignore-scripts --no-audit --no-fund >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        give_up "npm could not install tests/node/package.json" "npm 无法安装 tests/node/package.json" "scripts/node.sh"
    fi
}

# Without Node.js its tests are skipped, which is for a person to accept but not for CI.
give_up() {
    echo "!!! $1; run: $3 | $2，请运行：$3" >&2
    if [ "${CI:-}" = true ]; then
        exit 1
    fi
    exit 0
}

main
