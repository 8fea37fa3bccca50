#!/bin/sh
# Makes .bench-venv and installs into it what the benchmarks measure the hub beside; instant when nothing changed.
set -eu
cd "$(dirname "$0")/.."

wanted=benchmarks/peers/requirements.txt
stamp=.bench-venv/.installed
fingerprint="$(cksum <"$wanted") $(pwd -P)"

if [ -x .bench-venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$fingerprint" ]; then
    exit 0
fi
echo "installing the peers of the benchmarks ..."
rm -rf .bench-venv
.venv/bin/python -m venv .bench-venv
.bench-venv/bin/pip install -qq --disable-pip-version-check -r "$wanted"
echo "$fingerprint" >"$stamp"
