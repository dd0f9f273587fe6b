#!/bin/bash
# test.sh STACK: watches a copy of this directory, changes each kind of file in it, and waits until the site shows it.
set -euo pipefail
stack=$(realpath "${1:?usage: test.sh path/to/stack}")
dir=$(mktemp -d)
cp -r "$(dirname "$0")/." "$dir/watch"
cd "$dir/watch"
watch=
finish() {
	if [ -n "$watch" ]; then
		kill "$watch" 2>/dev/null || true
		wait "$watch" || true
	fi
	"$stack" down --rmi local --timeout 5
	rm -rf "$dir"
}
trap finish EXIT

# get PATH: what nginx answers, with the headers.
get() {
	"$stack" exec -T web python3 - "$1" <<'PY'
import sys, urllib.request
answer = urllib.request.urlopen("http://proxy" + sys.argv[1], timeout=5)
print(answer.headers, answer.read().decode())
PY
}

# expect TEXT PATH: waits until the answer has it.
expect() {
	for _ in $(seq 600); do
		if get "$2" 2>/dev/null | grep -qF -- "$1"; then
			return
		fi
		sleep 0.1
	done
	printf 'expected %s at %s, which says:\n' "$1" "$2" >&2
	get "$2" >&2
	exit 1
}

"$stack" watch &
watch=$!
expect 'First page' /
expect 'hello, installed: hammer' /about
expect 'X-Site: first' /

echo '<h1>Second page</h1>' >site/index.html
expect 'Second page' /
sed -i 's/hello/good morning/' server.py
expect 'good morning, installed: hammer' /about
sed -i 's/first/second/' proxy/headers.conf
expect 'X-Site: second' /
echo 'hammer and saw' >tools.txt
expect 'installed: hammer and saw' /about
# What was copied before is in the new container too.
expect 'Second page' /
expect 'good morning' /about
echo 'watch: ok'
