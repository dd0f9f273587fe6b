#!/bin/bash
# test.sh STACK: brings the shop up as the README says, talks to it as clients do, and takes it down with its data.
set -euo pipefail
stack=$(realpath "${1:?usage: test.sh path/to/stack}")
cd "$(dirname "$0")"
port=${WEB_PORT:-8080}
trap '"$stack" down --volumes --timeout 5' EXIT

# http METHOD PATH [BODY]: the whole answer, by bash alone.
http() {
	local body=${3-}
	exec 3<>"/dev/tcp/127.0.0.1/$port" || return
	printf '%s %s HTTP/1.0\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%s' "$1" "$2" "${#body}" "$body" >&3
	tr -d '\r' <&3
	exec 3>&-
}
expect() {
	if ! grep -qF -- "$1" <<<"$2"; then
		printf 'expected %s in:\n%s\n' "$1" "$2" >&2
		exit 1
	fi
}

"$stack" up --detach --wait
# web has no health check: it runs, and listens a moment later.
for _ in {1..600}; do
	http GET /products 2>/dev/null | grep -q '200 OK' && break
	sleep 0.1
done
expect '201 Created' "$(http POST /products '{"name": "Blue Pot", "price": 1200}')"
expect 'X-Cache: ' "$(http GET /products/1)"
expect '"Blue Pot"' "$(http GET /products)"
expect 'Blue Pot' "$("$stack" exec -T db psql --username shop --tuples-only --command 'select name from products')"
expect 'PONG' "$("$stack" exec -T cache redis-cli ping)"
echo 'shop: ok'
