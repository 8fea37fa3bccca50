#!/bin/sh
# Writes dist/sbom.cdx.json and asks whether what the hub runs on is known to be vulnerable; .audit-venv has the tools.
set -eu
cd "$(dirname "$0")/.."

tools="pip-audit>=2.9,<3 cyclonedx-bom>=7,<8 packaging"
stamp=.audit-venv/.installed

if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$tools" ]; then
    rm -rf .audit-venv
    python3 -m venv .audit-venv 2>/dev/null || .venv/bin/python -m venv .audit-venv
    # shellcheck disable=SC2086 # one word per tool
    if ! .audit-venv/bin/pip install -qq --disable-pip-version-check --retries 1 --timeout 10 $tools 2>.audit-venv/log; then
        echo "WARNING: pip-audit and cyclonedx-bom cannot be installed: $(tail -n 1 .audit-venv/log); nothing was audited" >&2
        exit 0
    fi
    echo "$tools" >"$stamp"
fi
exec .audit-venv/bin/python scripts/audit.py .venv/bin/python dist
