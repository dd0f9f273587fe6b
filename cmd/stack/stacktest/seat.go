package stacktest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// Seat is somebody at a terminal of 80 × 24 that runs one command.
type Seat struct {
	t      *testing.T
	keys   *os.File // the terminal's other side
	Cmd    *exec.Cmd
	Screen Text
	gone   chan struct{} // the terminal is read to its end
}

// Sit types a command line at a terminal; the engine is that of u.
func (u *Person) Sit(line string) *Seat {
	u.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { master.Close() })
	var unlock, n int
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, unlock); err != nil {
		u.t.Fatal(err)
	}
	if n, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN); err != nil {
		u.t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		u.t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		u.t.Fatal(err)
	}
	defer slave.Close()
	s := &Seat{t: u.t, keys: master, gone: make(chan struct{})}
	s.Cmd = exec.Command("/proc/self/exe", strings.Fields(line)...)
	s.Cmd.Dir = u.Dir
	s.Cmd.Env = []string{AsCommand + "=1", "TERM=xterm", "NO_COLOR=1", "PATH=" + os.Getenv("PATH")}
	for k, v := range u.Env {
		s.Cmd.Env = append(s.Cmd.Env, k+"="+v)
	}
	s.Cmd.Stdin, s.Cmd.Stdout, s.Cmd.Stderr = slave, slave, slave
	s.Cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.Cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	go func() {
		defer close(s.gone)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.Screen.Write(buf[:n])
			if err != nil { // EIO: nobody has the other side open any more
				return
			}
		}
	}()
	return s
}

// Press types keys.
func (s *Seat) Press(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// Sees waits for words on the screen.
func (s *Seat) Sees(words string) {
	s.t.Helper()
	sandbox.Eventually(s.t, fmt.Sprintf("%q on the screen", words), func() bool { return strings.Contains(s.Screen.String(), words) })
}

// Ends waits for the command's end and gives its code and all that was on the screen.
func (s *Seat) Ends() (code int, screen string) {
	s.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(sandbox.Patience):
		s.Cmd.Process.Kill()
		<-ended
		s.t.Fatalf("the command did not end:\n%s", s.Screen.String())
	}
	<-s.gone
	return s.Cmd.ProcessState.ExitCode(), s.Screen.String()
}
