#!/usr/bin/env bash
# Start MLflow's server with its own PostgreSQL database. Both accept connections from this machine only.
# Environment variables: FOLDER for all data, PORT, WORKERS, and AUTH=1 for users with passwords.
# With AUTH=1, MLFLOW_AUTH_ADMIN_PASSWORD sets the password of the user admin at each start.
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

as_owner() { # because PostgreSQL does not run as root
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
secret() { # print the secret in the file of this name; the first start creates it
    [ -s "$folder/$1" ] || "$python" -c 'import secrets; print(secrets.token_urlsafe())' >"$folder/$1"
    cat "$folder/$1"
}

mkdir -p "$folder" "$database"
umask 077 # only this user can read the files that are created from here on
mkdir -p "$folder/artifacts"
chmod 700 "$folder/artifacts"
exec 9>"$folder/lock" # children close it, so the lock is released when this script ends
flock --nonblock 9 || refuse "got FOLDER=$folder, where a server runs already; stop that one or set another FOLDER"
if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then # MLflow's server itself would end with exit code 0
    refuse "got PORT=$port, on which another process listens; stop that one or set another PORT"
fi
[ "$(id -u)" != 0 ] || chown postgres "$database"
as_owner test -w "$database" || refuse "got FOLDER=$folder, which user postgres may not enter, wanted one outside homes; set FOLDER"
cd "$database" # the owner may have no access to the folder where the command was started

started=$folder/postgres.started # the process that this script started; the next start reads it if this one is killed
stop_database() {
    [ ! -s "$started" ] || [ "$(cat "$started")" != "$(head -1 "$database/postmaster.pid" 2>/dev/null)" ] ||
        as_owner "$tools/pg_ctl" stop -m fast -D "$database" >/dev/null 9>&- || true
}
trap stop_database EXIT
[ -f PG_VERSION ] || as_owner "$tools/initdb" --username=mlflow --auth=trust --encoding=UTF8 --no-locale . >/dev/null
if ! as_owner "$tools/pg_ctl" status -D . >/dev/null; then # no TCP: a socket in a folder for its owner only
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

export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # seven worker processes for evaluating language models, not needed here
cd "$folder"
"$mlflow" server --host 127.0.0.1 --port "$port" --workers "${WORKERS:-1}" \
    --backend-store-uri "$uri" --artifacts-destination "$folder/artifacts" "${users[@]}" 9>&- &
server=$! code=0
trap 'kill $server 2>/dev/null; code=130' INT
trap 'kill $server 2>/dev/null; code=143' TERM
trap 'kill $server 2>/dev/null; code=129' HUP
wait $server || ended=$?
[ $code = 0 ] || wait $server || true # wait until it has stopped
[ $code != 0 ] || exit "${ended:-0}"
exit $code
