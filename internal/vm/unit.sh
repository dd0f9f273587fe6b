#!/bin/sh
# Tries the systemd unit that `make install` installs: the daemon comes and goes, containers stay.
export PATH=/usr/local/bin:/bin:/sbin
end() { echo "VM-RESULT systemd-unit $1"; poweroff -f; }
fail() { echo "unit: $*"; systemctl --no-pager status stack.service; stack ps --all; end 1; }
# wait_for TIMES WHAT COMMAND…: until the command succeeds, looking ten times a second.
wait_for() {
	n=$(($1 * 10)); what=$2; shift 2
	until "$@" >/dev/null 2>&1; do
		n=$((n - 1)); [ $n -gt 0 ] || fail "not in time: $what"
		usleep 100000
	done
}
program() { pidof sleep | tr ' ' '\n' | sort; }
same() { [ "$(program)" = "$before" ] || fail "$1: the container's process was $before and is $(program)"; }
main() { systemctl show --property MainPID --value stack.service; }
replaced() { p=$(main); [ "$p" != "$daemon" ] && [ "$p" != 0 ] && [ "$(systemctl is-active stack.service)" = active ]; }

ip link set lo up
systemctl start stack.service || fail "it does not start"
[ -S /run/stack/stack.sock ] || fail "systemd was told ready before the daemon listens"
grep -q stack.service /proc/$(main)/cgroup || fail "the daemon is not in its unit's cgroup"

mkdir -p /root/app; cd /root/app || exit
printf 'services:\n  app:\n    image: bb\n    command: [sleep, "100000"]\n    restart: always\n    mem_limit: 64m\n' >compose.yaml
stack load --input /bb.tar || fail "load"
stack up --detach --wait || fail "up"
before=$(program)
[ -n "$before" ] || fail "the container does not run"
limit=/sys/fs/cgroup$(sed 's/^0:://' /proc/$before/cgroup)/memory.max
[ "$(cat $limit)" = 67108864 ] || fail "memory.max: $limit: $(cat $limit)"

stack exec -T app true || fail "exec"

daemon=$(main)
systemctl kill --kill-whom=main --signal=KILL stack.service
wait_for 60 "systemd starts a killed daemon again" replaced
same "after a SIGKILL of the daemon"
stack exec -T app true || fail "exec after a SIGKILL of the daemon"

systemctl restart stack.service || fail "restart"
same "after a restart of the unit"

systemctl stop stack.service || fail "stop"
same "after a stop of the unit"
[ -d "/proc/$daemon" ] && fail "the daemon was not stopped"
systemctl daemon-reload; systemctl start stack.service || fail "it does not start beside its containers"
same "after a stop and a start"
[ "$(cat $limit)" = 67108864 ] || fail "systemd took the container's limit away: $(cat $limit)"

kill -KILL "$before"
again() { [ -n "$(program)" ] && [ "$(program)" != "$before" ]; }
wait_for 60 "the restart policy holds after all that" again

stack down --volumes --timeout 0 || fail "down"
systemctl stop stack.service || fail "stop at the end"
[ -z "$(program)" ] || fail "down left a process"
left=$(find /sys/fs/cgroup -type d -name 'stack-*')
[ -z "$left" ] || fail "cgroups are left: $left"
[ "$(ls /sys/class/net)" = lo ] || fail "links are left: $(ls /sys/class/net)"
end 0
