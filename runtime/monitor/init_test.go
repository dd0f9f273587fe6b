package monitor_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

func TestInitExitCodes(t *testing.T) {
	root := image(t)
	for script, want := range map[string]int{"exit 7": 7, "exit 255": 255, "true": 0, "kill -9 $$": 137, "kill -TERM $$": 143, "kill -34 $$": 162} {
		c := newContainer(t, root, script)
		c.Init = true
		if exit, out := c.run(); exit.Code != want {
			t.Errorf("%s: exit %+v, want %d: %s", script, exit, want, out)
		}
	}
}

func TestInitForwardsEverySignal(t *testing.T) {
	c := newContainer(t, image(t), `for s in HUP INT QUIT USR1 USR2 ALRM CONT WINCH TSTP URG; do trap "echo got $s" $s; done; trap 'exit 5' TERM
		echo ready; while :; do sleep 0.02; done`)
	c.Init = true
	c.start()
	status := c.await("started").Status
	follow(t, c, "ready")
	for name, sig := range map[string]unix.Signal{"HUP": unix.SIGHUP, "INT": unix.SIGINT, "QUIT": unix.SIGQUIT, "USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2,
		"ALRM": unix.SIGALRM, "CONT": unix.SIGCONT, "WINCH": unix.SIGWINCH, "TSTP": unix.SIGTSTP, "URG": unix.SIGURG} {
		must(t, unix.Kill(status.Pid, sig))
		follow(t, c, "got "+name)
	}
	must(t, unix.Kill(status.Pid, unix.SIGTERM))
	if exit := c.await("exited").Exit; exit.Code != 5 {
		t.Errorf("exit %+v", exit)
	}
}

func TestInitReapsOrphans(t *testing.T) {
	c := newContainer(t, image(t), `for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 0.01 & exit'; done; echo ready; while :; do sleep 1; done`)
	c.Init = true
	c.start()
	status := c.await("started").Status
	follow(t, c, "ready")
	// All that is left below PID 1 is the program.
	sandbox.Eventually(t, "orphans to be reaped", func() bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(status.Pid) + "/task/" + strconv.Itoa(status.Pid) + "/children")
		return err == nil && len(strings.Fields(string(b))) == 1
	})
	must(t, unix.Kill(status.Pid, unix.SIGTERM))
	c.await("exited")
}

// What root of the container finds in its PID 1: a program that it cannot change, nothing of ours, and the streams, to which
// many images write by /proc/1/fd/1.
func TestInitGivesNothingAway(t *testing.T) {
	c := newContainer(t, image(t), `cat /proc/1/comm; ls /proc/1/task | wc -l; ls /proc/1/fd | tr '\n' ' '; echo
		echo x 2>/dev/null >>/proc/1/exe && echo changed
		echo by PID 1 >/proc/1/fd/1; grep -c PATH=/bin /proc/1/environ; grep -c . /proc/1/maps`)
	c.Init = true
	lines := strings.Split(c.output(), "\n")
	if len(lines) < 6 || lines[0] != "stack-init" || lines[1] != "1" || lines[2] != "1 2 " || lines[3] != "by PID 1" || lines[4] != "1" {
		t.Errorf("%q", lines)
	}
	if n, err := strconv.Atoi(lines[5]); err != nil || n > 6 {
		t.Errorf("PID 1 has %d mappings", n)
	}
}
