#!/bin/sh
# What the public image's entrypoint does, written anew: an option or a *.conf as first argument is the
# server's, and the server runs as redis, which owns its working directory.
set -e
case ${1-} in
-* | *.conf) set -- redis-server "$@" ;;
esac
if [ "${1-}" = redis-server ]; then
	if [ "$(id -u)" = 0 ]; then
		find . \! -user redis -exec chown redis '{}' +
		exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
	fi
	# The public image is built with protected mode off: a container is its own host.
	set -- "$@" --protected-mode no
fi
exec "$@"
