#!/bin/sh
# Makes .venv and installs the project into it, with the extras named by the first argument.
set -eu
cd "$(dirname "$0")/.."

extras=${1:-}
fingerprint=$(cat pyproject.toml constraints.txt | cksum)

main() {
    leave_a_copied_folder
    if current; then
        exit 0
    fi
    if ! usable .venv/bin/python; then
        create
    fi
    install
}

# Programs in a virtual environment know its path: in a copied project they would run the original.
leave_a_copied_folder() {
    if [ -f .venv/.folder ] && [ "$(cat .venv/.folder)" != "$(pwd -P)" ]; then
        rm -rf .venv
    fi
}

# The runtime is a part of every set of extras, so any of them will do for it.
current() {
    [ -x .venv/bin/python ] || return 1
    for stamp in .venv/.installed-"${extras:-}"*; do
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$fingerprint" ]; then
            return 0
        fi
    done
    return 1
}

usable() {
    recent "$1" && "$1" -m pip --version >/dev/null 2>&1
}

create() {
    python=$(choose)
    rm -rf .venv
    echo "creating .venv with $("$python" --version 2>&1) ..."
    "$python" -m venv .venv
    pwd -P >.venv/.folder
}

choose() {
    without_venv=
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13}; do
        recent "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [ -n "$without_venv" ]; then
        fail "$without_venv cannot make virtual environments" "$without_venv 无法创建虚拟环境" \
            "sudo apt-get install $(basename "$without_venv")-venv"
    fi
    fail "no Python 3.11 or newer found" "未找到 Python 3.11 或更高版本" \
        "sudo apt-get install python3.11 python3.11-venv"
}

recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

fail() {
    echo "ERROR: $1; run: $3 | 错误：$2，请运行：$3" >&2
    exit 1
}

install() {
    echo "installing the project${extras:+ with $extras} ..."
    .venv/bin/python -m pip install -qq --disable-pip-version-check \
        -c constraints.txt -e ".${extras:+[$extras]}"
    echo "$fingerprint" >".venv/.installed-$extras"
}

main
