#!/bin/bash
# demo.sh STACK: shows what a user does, from an image file to a page and back to nothing. Everything that it
# makes is below one temporary directory, which is removed at the end.
set -euo pipefail
stack=$(realpath "${1:?usage: demo.sh path/to/stack}")
cd "$(dirname "$0")"

if [[ $(id -u) != 0 ]]; then
	echo "demo: containers, networks and mounts need root: run it as root (sudo make demo)" >&2
	exit 1
fi

# A container's writable layer cannot lie on an overlay file system, which / is inside of most CI jobs.
parent=/var/tmp
if [[ $(stat --file-system --format=%T $parent) == overlayfs ]]; then
	parent=/dev/shm
fi
dir=$(mktemp -d $parent/stack-demo.XXXXXX)
export STACK_STATE_ROOT=$dir/state STACK_RUN_ROOT=$dir/run STACK_CONFIG=$dir/config.yaml
: >"$STACK_CONFIG"
finish() {
	status=$?
	if [[ $status != 0 ]]; then "$stack" logs || true; fi
	"$stack" down --volumes --timeout 1 >/dev/null 2>&1 || true
	if [[ -n ${daemon:-} ]]; then
		kill "$daemon" 2>/dev/null && wait "$daemon" || true
	fi
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT

# The daemon would start by itself with the first command; as a child of this script it ends with it.
"$stack" daemon 2>"$dir/daemon.log" &
daemon=$!

# A free port; PORT=… chooses one.
if [[ -z ${PORT:-} ]]; then
	PORT=8000
	while (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do PORT=$((PORT + 1)); done
fi
export PORT

show() {
	printf '\n$ %s\n' "$*"
	"$@"
}
# Plain names in what is shown, the given binary in what is run.
stack() { "$stack" "$@"; }
# The page by bash alone: curl may not be installed.
page() {
	exec 3<>"/dev/tcp/127.0.0.1/$PORT"
	printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
	sed '1,/^\r*$/d' <&3
	exec 3>&-
}

echo "demo: making the image hello-web:1.0 (one static Go program)"
(cd ../.. && go run ./examples/hello/image -o "$dir/hello-web.tar")

until [[ -S $STACK_RUN_ROOT/stack.sock ]]; do
	kill -0 "$daemon" 2>/dev/null || { cat "$dir/daemon.log" >&2; exit 1; }
	sleep 0.05
done

show stack load --input "$dir/hello-web.tar"
show stack up --detach --wait
printf '\n$ curl http://127.0.0.1:%s/\n' "$PORT"
page | tee "$dir/page"
show stack ps
show stack logs
show stack down

grep -q 'Hello from stack' "$dir/page"
printf '\ndemo: ok\n'
