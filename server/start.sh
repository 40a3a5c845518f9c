#!/usr/bin/env bash
# MLflow's server on a PostgreSQL database of its own; both are reached from this machine alone.
# Settings, from the environment: FOLDER that holds everything, PORT, WORKERS, and AUTH=1 for users with passwords.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${FOLDER:-server/data}") port=${PORT:-5000} database=$folder/postgres
mlflow=$PWD/.venv/bin/mlflow
tools=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1 || true)
if [ -z "$tools" ]; then
    echo "server: got no PostgreSQL in /usr/lib/postgresql, wanted Debian's package; apt-get install postgresql" >&2
    exit 2
fi

as_owner() { # PostgreSQL refuses to be run by root
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
secret() { # kept in a file of this name, made at the first start
    [ -s "$folder/$1" ] || (umask 077 && python3 -c 'import secrets; print(secrets.token_urlsafe())' >"$folder/$1")
    cat "$folder/$1"
}

mkdir -p "$folder/artifacts" "$database"
[ "$(id -u)" != 0 ] || chown postgres "$database"
if ! as_owner test -w "$database"; then
    echo "server: got FOLDER=$folder, which user postgres may not enter, wanted one outside homes; set FOLDER" >&2
    exit 2
fi
cd "$database" # the owner may have no right to be where the command was started
[ -f PG_VERSION ] || as_owner "$tools/initdb" --username=mlflow --auth=trust --encoding=UTF8 --no-locale . >/dev/null
as_owner "$tools/pg_ctl" status -D . >/dev/null || # no TCP: a socket in a folder that its owner alone may enter
    as_owner "$tools/pg_ctl" start -w -D . -l log -o "-c listen_addresses= -c unix_socket_directories=$database" >/dev/null
trap 'as_owner "$tools/pg_ctl" stop -m fast -D "$database" >/dev/null' EXIT
has() { as_owner "$tools/psql" -h "$database" -U mlflow -d postgres -tAc "select 1 from pg_database where datname='$1'" | grep -q 1; }
has mlflow || as_owner "$tools/createdb" -h "$database" -U mlflow mlflow
uri="postgresql://mlflow@/mlflow?host=$database"

users=()
if [ -n "${AUTH:-}" ]; then
    has users || as_owner "$tools/createdb" -h "$database" -U mlflow users
    MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret key) MLFLOW_AUTH_ADMIN_PASSWORD=${MLFLOW_AUTH_ADMIN_PASSWORD:-$(secret password)}
    export MLFLOW_FLASK_SERVER_SECRET_KEY MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_AUTH_CONFIG_PATH=$folder/basic_auth.ini
    cat >"$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
database_uri = postgresql://mlflow@/users?host=$database
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
END
    users=(--app-name basic-auth)
    echo "user admin, password in $folder/password" >&2
fi

export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # workers for judging language models: seven processes that nothing here needs
cd "$folder"
"$mlflow" server --host 127.0.0.1 --port "$port" --workers "${WORKERS:-1}" \
    --backend-store-uri "$uri" --artifacts-destination "$folder/artifacts" "${users[@]}" &
trap 'kill $!' TERM INT
wait $! || wait $!
