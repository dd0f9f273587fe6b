#!/bin/bash
# What the public image's entrypoint does for its documented variables, written anew:
# POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS (each also as *_FILE),
# POSTGRES_HOST_AUTH_METHOD, PGDATA, and /docker-entrypoint-initdb.d.
set -euo pipefail

fail() {
	echo "postgres entrypoint: $*" >&2
	exit 1
}

# from_file VAR [DEFAULT]: the value of VAR, or the content of the file that VAR_FILE names.
from_file() {
	local var=$1 file=${1}_FILE
	local value=${2-}
	if [[ -n ${!var-} && -n ${!file-} ]]; then
		fail "both $var and $file are set: set one"
	elif [[ -n ${!var-} ]]; then
		value=${!var}
	elif [[ -n ${!file-} ]]; then
		value=$(<"${!file}")
	fi
	export "$var=$value"
	unset "$file"
}

init_database() {
	from_file POSTGRES_PASSWORD
	from_file POSTGRES_USER postgres
	from_file POSTGRES_DB "$POSTGRES_USER"
	from_file POSTGRES_INITDB_ARGS
	local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
	if [[ -z $POSTGRES_PASSWORD && $method != trust ]]; then
		fail "the database is not initialised and no superuser password is given: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE to a value that is not empty"
	fi

	# Word splitting is the documented meaning of POSTGRES_INITDB_ARGS.
	# shellcheck disable=SC2206
	local args=(--pgdata="$PGDATA" --username="$POSTGRES_USER" $POSTGRES_INITDB_ARGS)
	if [[ -n $POSTGRES_PASSWORD ]]; then
		initdb "${args[@]}" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
	else
		initdb "${args[@]}"
	fi
	printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"

	# Only the socket while the database is being filled: a client over TCP sees it when it is whole.
	pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait --silent start
	local psql=(psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER")
	if [[ $POSTGRES_DB != postgres ]]; then
		"${psql[@]}" --dbname=postgres --set=db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
	fi
	local f
	for f in /docker-entrypoint-initdb.d/*; do
		case $f in
		*.sh)
			echo "running $f"
			if [[ -x $f ]]; then "$f"; else . "$f"; fi
			;;
		*.sql)
			echo "running $f"
			"${psql[@]}" --dbname="$POSTGRES_DB" --file="$f"
			;;
		*.sql.gz)
			echo "running $f"
			gzip --decompress --stdout "$f" | "${psql[@]}" --dbname="$POSTGRES_DB"
			;;
		'/docker-entrypoint-initdb.d/*') ;;
		*) echo "ignoring $f" ;;
		esac
	done
	pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
	unset POSTGRES_PASSWORD
	echo 'PostgreSQL init process complete; ready for start up.'
}

# An option as first argument is the server's.
if [[ ${1-} == -* ]]; then
	set -- postgres "$@"
fi

if [[ ${1-} == postgres ]]; then
	if [[ $(id -u) == 0 ]]; then
		mkdir -p "$PGDATA"
		chmod 0700 "$PGDATA"
		find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
		chown postgres:postgres /var/run/postgresql
		exec setpriv --reuid=postgres --regid=postgres --init-groups "${BASH_SOURCE[0]}" "$@"
	fi
	if [[ ! -s $PGDATA/PG_VERSION ]]; then
		init_database
	fi
fi
exec "$@"
