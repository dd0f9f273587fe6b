package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudoterminal with a command at its other side.
type terminal struct {
	p      *project
	master *os.File
	wait   func() int // for the command's end, its exit code
	asked  int        // how often for its size

	mu   sync.Mutex
	seen strings.Builder
}

// atTerminal runs a command as somebody does who sits at a terminal of 80 × 24.
func (p *project) atTerminal(args ...string) *terminal {
	p.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { master.Close() })
	x := &terminal{p: p, master: master}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		p.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		p.t.Fatal(err)
	}
	x.resize(24, 80)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer slave.Close()
	cmd := p.host.command(p.t.Context(), p.dir, args...)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			x.mu.Lock()
			x.seen.Write(buf[:n])
			x.mu.Unlock()
			if err != nil {
				return // EIO: nobody has the other side open any more
			}
		}
	}()
	x.wait = func() int {
		cmd.Wait()
		<-read
		return cmd.ProcessState.ExitCode()
	}
	return x
}

func (x *terminal) screen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.String()
}

func (x *terminal) types(keys string) {
	x.p.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.p.t.Fatal(err)
	}
}

func (x *terminal) shows(text string) {
	x.p.t.Helper()
	defer func() {
		if x.p.t.Failed() {
			x.p.t.Logf("the terminal:\n%q", x.screen())
		}
	}()
	x.p.eventually(fmt.Sprintf("the terminal shows %q", text), func() bool { return strings.Contains(x.screen(), text) })
}

func (x *terminal) resize(rows, cols uint16) {
	x.p.t.Helper()
	if err := unix.IoctlSetWinsize(int(x.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		x.p.t.Fatal(err)
	}
}

// hasSize waits until the terminal in the container has that size, by a shell at x. It asks again when it has an answer: a terminal
// holds 4096 bytes that nobody has read yet, and loses what comes after.
func (x *terminal) hasSize(size string) {
	x.p.t.Helper()
	x.p.eventually("the terminal in the container has the size "+size, func() bool {
		screen := x.screen()
		if strings.Contains(screen, size) {
			return true
		}
		if strings.Count(screen, "that-is-all") == x.asked {
			x.types("stty size; echo that\\-is-all\n") // as it is typed it is no answer
			x.asked++
		}
		return false
	})
}

// TestTerminal: exec and run at a terminal have one in the container too, of the same size, which follows; keys go
// through, Ctrl-C to the program; the exit code comes back.
func TestTerminal(t *testing.T) {
	p := compose(t, "terminals", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
`)
	p.up()
	for _, args := range [][]string{{"exec", "app", "sh"}, {"run", "--rm", "app", "sh"}} {
		t.Run(args[0], func(t *testing.T) {
			p := *p
			p.t = t
			x := p.atTerminal(args...)
			x.types("test -t 0 && echo is\\-a-terminal $(stty size)\n")
			x.shows("is-a-terminal 24 80")
			p.works(x)
			x.types("exit 7\n")
			equal(t, "exit code", fmt.Sprint(x.wait()), "7")
		})
	}
}

// works tries a shell at x: it follows the terminal's size, and Ctrl-C is for what runs in it. Who says that it sleeps is who will: a key
// that comes before the shell has given the terminal to a new program is the shell's, and the program sleeps on.
func (p *project) works(x *terminal) {
	p.t.Helper()
	x.resize(40, 132)
	x.hasSize("40 132")
	x.types("sh -c 'echo sleep\\ing; exec sleep 1000'\n")
	x.shows("sleeping")
	x.types("\x03")
	x.types("echo inter\\rupted $?\n")
	x.shows("interrupted 130")
}
