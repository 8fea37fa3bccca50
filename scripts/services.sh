#!/bin/sh
# Makes sure that the servers and tools which the tests start are there; of the servers they start private nodes.
set -eu

policy=/usr/sbin/policy-rc.d
missing=

main() {
    find_missing
    if [ -z "$missing" ]; then
        return
    fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        give_up "not installed: $missing" "未安装：$missing"
    fi
    install_missing
    find_missing
    if [ -n "$missing" ]; then
        give_up "apt-get could not install: $missing" "apt-get 安装失败：$missing"
    fi
}

find_missing() {
    missing=
    [ -e /usr/lib/rabbitmq/bin/rabbitmq-env ] || lacks rabbitmq-server
    has_postgresql || lacks postgresql
    command -v node >/dev/null || lacks nodejs
    command -v npm >/dev/null || lacks npm
    command -v promtool >/dev/null || lacks prometheus
    command -v amtool >/dev/null || lacks prometheus-alertmanager
    command -v kubectl >/dev/null || lacks kubernetes-client
    command -v systemd-analyze >/dev/null || lacks systemd
    command -v shellcheck >/dev/null || lacks shellcheck
}

lacks() {
    missing="${missing:+$missing }$1"
}

has_postgresql() {
    for program in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb)"; do
        [ ! -x "$program" ] || return 0
    done
    return 1
}

install_missing() {
    echo "installing $missing ..."
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    trap 'exit 1' HUP INT TERM
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$log" "$policy"' EXIT
        forbid_services
    fi
    apt_get >"$log" 2>&1 || tail -n 15 "$log" >&2
}

apt_get() {
    export DEBIAN_FRONTEND=noninteractive
    # Stale lists may still do, so only the second step decides.
    apt-get update -qq || true
    # shellcheck disable=SC2086 # one word per package
    apt-get install -qq --no-install-recommends $missing
}

# The packages start their servers at once, on ports that somebody may be using; the tests need none of
# them. The rule speaks only while this script runs, so one that is left behind forbids nothing.
forbid_services() {
    printf '#!/bin/sh\nif kill -0 %s 2>/dev/null; then exit 101; fi\n' "$$" >"$policy"
    chmod 755 "$policy"
}

# Without these programs their tests are skipped, which is for a person to accept but not for CI.
give_up() {
    echo "!!! $1; run: sudo apt-get install $missing | $2，请运行：sudo apt-get install $missing" >&2
    if [ "${CI:-}" = true ]; then
        exit 1
    fi
    exit 0
}

main
