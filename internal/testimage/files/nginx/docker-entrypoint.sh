#!/bin/sh
# Runs /docker-entrypoint.d/*.sh before the server, as the public image does.
set -e
if [ "${1-}" = nginx ]; then
	for f in /docker-entrypoint.d/*.sh; do
		if [ -x "$f" ]; then "$f"; fi
	done
fi
exec "$@"
