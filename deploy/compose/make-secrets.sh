#!/bin/sh
# Makes what compose.yaml needs to know in secret: a password for each login, and files that hand each to its part alone.
#
#   make-secrets.sh                 all of them, once; what is there already stays as it is
#   make-secrets.sh rotate LOGIN    a new password for a user of the broker, or for `hub`, the login in the database;
#                                   it says what to type for the server and the part to take it in
set -eu
umask 077
cd "$(dirname "$0")"

definitions=../../rabbitmq/definitions.json
alarms=../alertmanager/alertmanager.yml
users='relay crm kingdee wms erp watcher replay monitor deployer'

make_all() {
    if [ -e secrets ]; then
        echo "secrets/ is there already; nothing was made (a new password: make-secrets.sh rotate LOGIN)" >&2
        exit 1
    fi
    # Whole or not at all: half of them would be half a hub.
    begin
    password >secrets.part/postgres-password
    password >secrets.part/grafana-password
    give_hub
    cp "$definitions" secrets.part/definitions.json
    for user in $users; do
        give "$user"
    done
    # Here the hub is another container. Whoever wants alarms fills in the two.
    sed 's|//127\.0\.0\.1:8080/|//api:8080/|' "$alarms" >secrets.part/alertmanager.yml
    : >secrets.part/hub-token
    : >secrets.part/smtp-password
    # Each container sees its own files alone, and reads them as a user without a name; the folder lets nobody else in.
    chmod 0644 secrets.part/*
    mv secrets.part secrets
    echo "made: $(pwd)/secrets"
}

rotate() {
    if [ ! -d secrets ]; then
        echo "secrets/ is not there; make it first: make-secrets.sh" >&2
        exit 1
    fi
    case " hub $users " in
    *" $1 "*) ;;
    *)
        echo "$1 is no login; there are: hub $users" >&2
        exit 2
        ;;
    esac
    begin
    if [ "$1" = hub ]; then
        give_hub
    else
        cp secrets/definitions.json secrets.part/definitions.json
        give "$1"
    fi
    # Into the same files: a container goes on seeing the one that it was given, not another of the same name.
    for path in secrets.part/*; do
        cat "$path" >"secrets/${path##*/}"
    done
    rm -r secrets.part
    told "$1"
}

begin() {
    rm -rf secrets.part
    mkdir secrets.part
}

password() {
    openssl rand -hex 24 | tr -d '\n'
}

give_hub() {
    password >secrets.part/hub-password
    printf 'postgresql://hub:%s@postgres:5432/hub' "$(cat secrets.part/hub-password)" >secrets.part/db-url
}

# The user's hash goes into the line after its name.
give() {
    word=$(password)
    hash=$(printf '%s' "$word" | hashed)
    printf 'amqp://%s:%s@rabbitmq:5672/hub' "$1" "$word" >"secrets.part/bus-url-$1"
    if [ "$1" = monitor ]; then
        printf 'http://monitor:%s@rabbitmq:15672' "$word" >secrets.part/management-url-monitor
    fi
    sed "/\"name\": \"$1\",\$/{
n
s|\"password_hash\": \"[^\"]*\"|\"password_hash\": \"$hash\"|
}" secrets.part/definitions.json >secrets.part/definitions.new
    mv secrets.part/definitions.new secrets.part/definitions.json
}

# RabbitMQ, "Passwords": four bytes of salt, then SHA-256 over salt and password, all in base64.
hashed() {
    cat >secrets.part/word
    openssl rand 4 >secrets.part/salt
    cat secrets.part/salt secrets.part/word | openssl dgst -sha256 -binary >secrets.part/sum
    cat secrets.part/salt secrets.part/sum | openssl base64 -A
    rm secrets.part/word secrets.part/salt secrets.part/sum
}

# Whoever is connected stays connected; whoever connects anew needs the new password, so both at once.
told() {
    echo "written: a new password of $1. Now, at once, in $(pwd):"
    if [ "$1" = hub ]; then
        echo "  printf \"ALTER ROLE hub PASSWORD '%s'\" \"\$(cat secrets/hub-password)\" | docker compose exec -T postgres psql --username=postgres"
        echo "  docker compose restart api relay consume-crm consume-kingdee consume-wms consume-erp subscription-watch maintenance nightly"
        return
    fi
    echo "  docker compose exec -T rabbitmq rabbitmqctl import_definitions /run/secrets/definitions.json"
    case "$1" in
    relay) echo "  docker compose restart relay" ;;
    crm | kingdee | wms | erp) echo "  docker compose restart consume-$1" ;;
    watcher) echo "  docker compose restart subscription-watch" ;;
    monitor) echo "  docker compose restart subscription-watch nightly" ;;
    esac
}

case "${1-}" in
'') make_all ;;
rotate) rotate "${2-}" ;;
*)
    echo "make-secrets.sh, or make-secrets.sh rotate LOGIN" >&2
    exit 2
    ;;
esac
