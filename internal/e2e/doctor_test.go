package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctor: on a host that lacks something, doctor fails, names it and says what to do; nothing of the trial stays.
func TestDoctor(t *testing.T) {
	h := ownHost(t)
	for _, program := range []string{"prlimit", "setpriv", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIP: there is no %s", program)
		}
	}
	small := filepath.Join(h.dir, "small")
	for _, tt := range []struct {
		name, shell string
		code        int
		want        []string
	}{
		{"nothing", `exec "$0" doctor`, 0, []string{"cgroups", "nftables", "state root"}},
		{"root", `exec setpriv --reuid 65534 --clear-groups "$0" doctor`, 1, []string{"this is uid 65534", "run stack with sudo"}},
		{"CAP_SYS_ADMIN", `exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$0" doctor`, 1, []string{"uid 0 without CAP_SYS_ADMIN", "give this container CAP_SYS_ADMIN"}},
		{"CAP_NET_ADMIN", `exec setpriv --bounding-set -net_admin --inh-caps -net_admin "$0" doctor`, 1, []string{"bridge", "nftables", "operation not permitted", "give this container CAP_NET_ADMIN"}},
		{"open files", `exec prlimit --nofile=480:480 "$0" doctor`, 1, []string{"a process may have 480 at once (RLIMIT_NOFILE), and the daemon takes at least 481", "LimitNOFILE="}},
		{"a state root that can be written", `exec unshare --mount sh -c 'mkdir -p "$1" && mount -t tmpfs -o ro tmpfs "$1" && STACK_STATE_ROOT=$1/state exec "$0" doctor' "$0" ` + small, 1,
			[]string{"is read-only", "remount it read-write"}},
		{"room", `exec unshare --mount sh -c 'mkdir -p "$1" && mount -t tmpfs -o size=8k tmpfs "$1" && STACK_STATE_ROOT=$1/state exec "$0" doctor' "$0" ` + small, 1,
			[]string{"has 0.0 GB free", "free some space"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", tt.shell, h.bin)
			cmd.Env = h.env
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, out)
			}
			contains(t, "doctor", string(out), tt.want...)
			if lacks := strings.Contains(string(out), "✘"); lacks != (tt.code != 0) {
				t.Errorf("something is marked as missing: %v:\n%s", lacks, out)
			}
		})
	}
}

// TestTooFewOpenFiles: a daemon that could start no container says so, and what to do, to the command that has started it.
func TestTooFewOpenFiles(t *testing.T) {
	h := ownHost(t)
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("SKIP: there is no prlimit")
	}
	cmd := exec.CommandContext(t.Context(), "prlimit", "--nofile=480:480", h.bin, "-p", "none", "ps")
	cmd.Env = h.env
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("it succeeds: %s", out)
	}
	contains(t, "ps", string(out), "cannot start the stack daemon", "only 480 files open at once (RLIMIT_NOFILE), and it takes at least 481", "LimitNOFILE=")
}
