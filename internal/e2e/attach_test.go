package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

const attachFile = `
services:
  echo:
    image: busybox
    command: [sh, -c, 'while read x; do echo got $$x; test $$x = end && exit 5; done; echo no more input; sleep 1000']
    stdin_open: true
    stop_grace_period: 0s
  trap:
    image: busybox
    command: [sh, -c, 'trap "echo caught; exit 6" TERM INT; while :; do echo tick; sleep 0.1; done']
    init: false
    stop_grace_period: 0s
  shell:
    image: busybox
    command: [sh]
    stdin_open: true
    tty: true
    stop_grace_period: 0s
  off:
    image: busybox
    command: ["true"]
`

// TestAttach: what is typed goes to the container, whose end is attach's; the end of the input is not the container's, and signals go to it unless they
// are not to.
func TestAttach(t *testing.T) {
	p := compose(t, "attach", attachFile)
	p.ok("up", "--detach")

	feed := p.beginWith(strings.NewReader("one\n"), "attach", "echo")
	feed.says("got one\n")
	two := p.beginWith(strings.NewReader("two\n"), "attach", "echo")
	two.says("got two\n")
	feed.says("got two\n") // who was there before sees it too, and the input of neither is at its end in the container
	if text := feed.text() + two.text(); strings.Contains(text, "no more input") {
		t.Errorf("the end of the input was the container's:\n%s", text)
	}
	p.beginWith(strings.NewReader("end\n"), "attach", "echo").ends(5)
	feed.ends(5)
	two.ends(5)

	p.begin("attach", "--no-stdin", "--sig-proxy=false", "trap").says("tick\n").signal(syscall.SIGINT).ends(130)
	equal(t, "trap, after a command that ended alone", p.one("attach-trap-1").State, "running")
	caught := p.begin("attach", "trap").says("tick\n").signal(syscall.SIGTERM).ends(6)
	contains(t, "what it wrote last", caught, "caught\n")

	p.eventually("off is off", func() bool { return p.one("attach-off-1").State == "exited" })
	p.fails(1, []string{"off", "not running"}, "attach", "off")
	p.fails(1, []string{"no such service: nobody"}, "attach", "nobody")
	p.fails(1, []string{"it has a terminal"}, "attach", "shell")
	p.ok("pause", "shell")
	p.fails(1, []string{"paused", "stack unpause shell"}, "attach", "--no-stdin", "shell")
	p.ok("unpause", "shell")
}

// TestAttachTerminal: the container's terminal is that of whoever attaches, until the keys; then the container runs on.
func TestAttachTerminal(t *testing.T) {
	p := compose(t, "attachtty", attachFile)
	p.ok("up", "--detach", "shell")
	x := p.atTerminal("attach", "shell")
	x.hasSize("24 80")
	p.works(x)
	x.types("\x10\x11")
	equal(t, "exit code", fmt.Sprint(x.wait()), "0")
	contains(t, "the terminal", x.screen(), "detached from container attachtty-shell-1")
	equal(t, "the container", p.one("attachtty-shell-1").State, "running")

	x = p.atTerminal("attach", "--detach-keys", "ctrl-x,x", "shell")
	x.types("echo aga\\in\n")
	x.shows("again")
	x.types("\x18x")
	equal(t, "exit code", fmt.Sprint(x.wait()), "0")
	x = p.atTerminal("attach", "shell")
	x.types("echo la\\st; exit 7\n")
	x.shows("last")
	equal(t, "the container's exit code", fmt.Sprint(x.wait()), "7")
}
