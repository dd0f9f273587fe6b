#!/bin/bash
# test.sh STACK: builds the site and brings it up as the README says, changes its title, and takes it down with its image.
set -euo pipefail
stack=$(realpath "${1:?usage: test.sh path/to/stack}")
cd "$(dirname "$0")"
trap '"$stack" down --rmi local --timeout 5' EXIT

page() { "$stack" exec -T web wget -q -O - "http://127.0.0.1:8080/$1"; }
expect() {
	if ! grep -qF -- "$1" <<<"$2"; then
		printf 'expected %s in:\n%s\n' "$1" "$2" >&2
		exit 1
	fi
}

"$stack" up --detach --wait
expect '<h1>Notes</h1>' "$(page index.html)"
expect '<p>What a stage needs' "$(page stages.html)"

# Another title is another step, and with it another image and another container.
TITLE='More notes' "$stack" up --detach --wait --build
expect '<h1>More notes</h1>' "$(page index.html)"

# The same again is taken from the cache, and the container stays.
expect 'cached' "$(TITLE='More notes' "$stack" --progress plain build 2>&1)"
expect 'nothing to do' "$(TITLE='More notes' "$stack" plan)"
echo 'pages: ok'
