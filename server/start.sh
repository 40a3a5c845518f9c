#!/usr/bin/env bash
# MLflow's server on a PostgreSQL database of its own; both are reached from this machine alone.
# Settings, from the environment: FOLDER that holds everything, PORT, WORKERS, and AUTH=1 for users with passwords.
# With AUTH=1, MLFLOW_AUTH_ADMIN_PASSWORD sets the password of the user admin, at the first start and at later ones.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${FOLDER:-server/data}") port=${PORT:-5000} database=$folder/postgres
mlflow=$PWD/.venv/bin/mlflow python=$PWD/.venv/bin/python admin=$PWD/server/admin.py
tools=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1 || true)
refuse() {
    echo "server: $1" >&2
    exit 2
}
[ -n "$tools" ] || refuse "got no PostgreSQL in /usr/lib/postgresql, wanted Debian's package; apt-get install postgresql"

as_owner() { # PostgreSQL refuses to be run by root
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
secret() { # kept in a file of this name, made at the first start
    [ -s "$folder/$1" ] || "$python" -c 'import secrets; print(secrets.token_urlsafe())' >"$folder/$1"
    cat "$folder/$1"
}

mkdir -p "$folder" "$database"
umask 077 # what is made from here on is for this user alone
mkdir -p "$folder/artifacts"
chmod 700 "$folder/artifacts"
exec 9>"$folder/lock" # no child keeps it open, so that it is free when this script is gone
flock --nonblock 9 || refuse "got FOLDER=$folder, where a server runs already; stop that one or set another FOLDER"
if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then # MLflow's server would end with exit code 0
    refuse "got PORT=$port, on which another process listens; stop that one or set another PORT"
fi
[ "$(id -u)" != 0 ] || chown postgres "$database"
as_owner test -w "$database" || refuse "got FOLDER=$folder, which user postgres may not enter, wanted one outside homes; set FOLDER"
cd "$database" # the owner may have no right to be where the command was started

started=$folder/postgres.started # which process this script started, for a next one where this one is killed
stop_database() {
    [ ! -s "$started" ] || [ "$(cat "$started")" != "$(head -1 "$database/postmaster.pid" 2>/dev/null)" ] ||
        as_owner "$tools/pg_ctl" stop -m fast -D "$database" >/dev/null 9>&- || true
}
trap stop_database EXIT
[ -f PG_VERSION ] || as_owner "$tools/initdb" --username=mlflow --auth=trust --encoding=UTF8 --no-locale . >/dev/null
if ! as_owner "$tools/pg_ctl" status -D . >/dev/null; then # no TCP: a socket in a folder that its owner alone may enter
    as_owner "$tools/pg_ctl" start -w -D . -l log -o "-c listen_addresses= -c unix_socket_directories=$database" >/dev/null 9>&-
    head -1 postmaster.pid >"$started"
fi
has() { as_owner "$tools/psql" -h "$database" -U mlflow -d postgres -tAc "select 1 from pg_database where datname='$1'" | grep -q 1; }
has mlflow || as_owner "$tools/createdb" -h "$database" -U mlflow mlflow
uri="postgresql://mlflow@/mlflow?host=$database"

users=()
if [ -n "${AUTH:-}" ]; then
    has users || as_owner "$tools/createdb" -h "$database" -U mlflow users
    MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret key)
    export MLFLOW_FLASK_SERVER_SECRET_KEY MLFLOW_AUTH_CONFIG_PATH=$folder/basic_auth.ini
    cat >"$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
database_uri = postgresql://mlflow@/users?host=$database
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
END
    given=${MLFLOW_AUTH_ADMIN_PASSWORD:-}
    MLFLOW_AUTH_ADMIN_PASSWORD=${given:-$(secret password)}
    export MLFLOW_AUTH_ADMIN_PASSWORD
    "$python" -W ignore "$admin" "postgresql://mlflow@/users?host=$database" ${given:+--change} 9>&-
    [ -z "$given" ] || printf '%s\n' "$given" >"$folder/password"
    chmod 600 "$folder/password" "$folder/key" "$MLFLOW_AUTH_CONFIG_PATH"
    users=(--app-name basic-auth)
    echo "user admin, password in $folder/password" >&2
fi

export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # workers for judging language models: seven processes that nothing here needs
cd "$folder"
"$mlflow" server --host 127.0.0.1 --port "$port" --workers "${WORKERS:-1}" \
    --backend-store-uri "$uri" --artifacts-destination "$folder/artifacts" "${users[@]}" 9>&- &
server=$! code=0
trap 'kill $server 2>/dev/null; code=130' INT
trap 'kill $server 2>/dev/null; code=143' TERM
trap 'kill $server 2>/dev/null; code=129' HUP
wait $server || ended=$?
[ $code = 0 ] || wait $server || true # until it has stopped
[ $code != 0 ] || exit "${ended:-0}"
exit $code
