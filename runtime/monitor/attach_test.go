package monitor_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

// client speaks the attach protocol.
type client struct {
	t    *testing.T
	conn *net.UnixConn
}

func (c *container) attach(t *testing.T, r proto.AttachRequest) *client {
	t.Helper()
	conn := c.dial(t)
	_, err := conn.Write(r.Line())
	must(t, err)
	return &client{t, conn}
}

// dial is a client who has not said yet what it wants.
func (c *container) dial(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.Open(c.RunDir)
	must(t, err)
	defer dir.Close()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), proto.SocketName), Net: "unix"})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (c *client) send(kind byte, payload string) {
	c.t.Helper()
	b := append([]byte{kind, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))...)
	_, err := c.conn.Write(append(b, payload...))
	must(c.t, err)
}

// frame is the next one; kind is -1 at the end.
func (c *client) frame() (kind int, payload string) {
	var header [8]byte
	if _, err := io.ReadFull(c.conn, header[:]); err != nil {
		return -1, ""
	}
	b := make([]byte, binary.BigEndian.Uint32(header[4:]))
	_, err := io.ReadFull(c.conn, b)
	must(c.t, err)
	return int(header[0]), string(b)
}

// all reads to the end.
func (c *client) all() (out, err string) {
	for {
		kind, payload := c.frame()
		switch kind {
		case proto.FrameStdout:
			out += payload
		case proto.FrameStderr:
			err += payload
		default:
			return out, err
		}
	}
}

// until reads stdout until it holds text.
func (c *client) until(text string) {
	c.t.Helper()
	var got string
	for !strings.Contains(got, text) {
		kind, payload := c.frame()
		if kind < 0 {
			c.t.Fatalf("ended after %q, want %q", got, text)
		}
		got += payload
	}
}

func TestAttachSeesTheFirstByte(t *testing.T) {
	c := newContainer(t, image(t), "echo first; echo err >&2; cat; echo last")
	c.AwaitAttach, c.StdinOpen = true, true
	c.start()
	c.await(proto.ReportListening)
	a := c.attach(t, proto.AttachRequest{Stdin: true})
	c.await(proto.ReportStarted)
	a.send(proto.FrameStdin, "typed\n")
	a.send(proto.FrameEOF, "")
	if out, err := a.all(); out != "first\ntyped\nlast\n" || err != "err\n" {
		t.Errorf("out %q, err %q", out, err)
	}
	c.await(proto.ReportExited)
	c.ended()
}

func TestHalfCloseEndsStdinAndHangupDoesNot(t *testing.T) {
	c := newContainer(t, image(t), "echo ready; cat; echo eof")
	c.StdinOpen = true
	c.start()
	c.await(proto.ReportStarted)
	follow(t, c, "ready")
	gone := c.attach(t, proto.AttachRequest{Stdin: true})
	gone.send(proto.FrameStdin, "one\n")
	follow(t, c, "one")
	gone.conn.Close()
	a := c.attach(t, proto.AttachRequest{Stdin: true})
	a.send(proto.FrameStdin, "two\n")
	must(t, a.conn.CloseWrite())
	if out, _ := a.all(); !strings.HasSuffix(out, "two\neof\n") {
		t.Errorf("out %q", out)
	}
	c.await(proto.ReportExited)
}

func TestStdinIsEmptyUnlessOpen(t *testing.T) {
	c := newContainer(t, image(t), "cat; readlink /proc/self/fd/0")
	if got := c.output(); got != "/dev/null\n" {
		t.Errorf("got %q", got)
	}
}

// A client that does not read holds the container up only until it is dropped or goes; meanwhile nothing is lost.
func TestSlowClientLosesNothing(t *testing.T) {
	c := newContainer(t, image(t), "seq 1 300000; echo end")
	c.AwaitAttach = true
	c.start()
	c.await(proto.ReportListening)
	slow, gone := c.attach(t, proto.AttachRequest{}), c.attach(t, proto.AttachRequest{})
	c.await(proto.ReportStarted)
	gone.frame()
	gone.conn.Close()
	slow.frame()
	// The rest is read when the container can only be waiting.
	sandbox.Eventually(t, "the pipes are full", func() bool {
		st, err := os.Stat(c.Log.Path)
		return err == nil && st.Size() > 1<<20
	})
	out, _ := slow.all()
	if !strings.HasSuffix(out, "300000\nend\n") {
		t.Errorf("ends with %q", out[max(0, len(out)-40):])
	}
	c.await(proto.ReportExited)
}

func TestTerminal(t *testing.T) {
	c := newContainer(t, image(t), `tty; stty size; ls -l $(tty) /dev/console; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; echo $TERM; read x; stty size; echo "got $x"`)
	c.Spec.Process.Terminal = true
	c.Spec.Process.ConsoleSize = &specs.Box{Height: 11, Width: 22}
	c.Spec.Process.User.Username = "web"
	c.AwaitAttach = true
	c.start()
	c.await(proto.ReportListening)
	a := c.attach(t, proto.AttachRequest{Stdin: true})
	c.await(proto.ReportStarted)
	a.until("xterm")
	a.send(proto.FrameResize, "\x00\x21\x00\x2c") // 33 × 44
	a.send(proto.FrameStdin, "line\n")
	out, _ := a.all()
	if !strings.Contains(out, "33 44") || !strings.Contains(out, "got line") {
		t.Errorf("after the resize: %q", out)
	}
	c.await(proto.ReportExited)
	got := c.logged()
	for _, want := range []string{"/dev/pts/0\r\n11 22\r\n", "crw--w----    1 web      5 ", "/dev/console\r\n", "all\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

// What is typed before the container has its terminal waits for it.
func TestTypeAhead(t *testing.T) {
	for range 5 { // boot is quick: the first bytes may come before or after it
		c := newContainer(t, image(t), `read x; echo "got $x"`)
		c.Spec.Process.Terminal = true
		c.AwaitAttach = true
		c.start()
		c.await(proto.ReportListening)
		a := c.attach(t, proto.AttachRequest{Stdin: true})
		a.send(proto.FrameStdin, "line\n")
		if out, _ := a.all(); !strings.Contains(out, "got line") {
			t.Errorf("the output is %q", out)
		}
		c.await(proto.ReportExited)
	}
}

func TestTerminalSignals(t *testing.T) {
	for _, init := range []bool{false, true} {
		c := newContainer(t, image(t), `trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.02; done`)
		c.Spec.Process.Terminal = true
		c.Init = init
		c.start()
		c.await(proto.ReportStarted)
		follow(t, c, "ready")
		a := c.attach(t, proto.AttachRequest{Stdin: true})
		a.send(proto.FrameStdin, "\x03")
		if exit := c.await(proto.ReportExited).Exit; exit.Code != 3 || !strings.Contains(c.logged(), "interrupted") {
			t.Errorf("init %v: exit %+v, %q", init, exit, c.logged())
		}
	}
}

func TestExecTerminal(t *testing.T) {
	c := newContainer(t, image(t), "exec sleep 1000")
	c.start()
	status := c.await(proto.ReportStarted).Status
	b := c.execOf(status, "tty; stty size; read x; echo got $x; exit 4")
	b.Process.Terminal = true
	b.Process.ConsoleSize = &specs.Box{Height: 5, Width: 6}
	_, reports := startProgram(t, proto.WorkExec, &b, null(t), null(t), null(t))
	defer unix.Close(reports)
	var r proto.Report
	fds, err := proto.Receive(reports, &r)
	must(t, err)
	if r.Type != proto.ReportStarted || len(fds) != 1 {
		t.Fatalf("%+v with %d files", r, len(fds))
	}
	master := os.NewFile(uintptr(fds[0]), "master")
	defer master.Close()
	_, err = master.WriteString("word\n")
	must(t, err)
	var out strings.Builder
	_, err = io.Copy(&out, master)                                           // ends with EIO
	for _, want := range []string{"/dev/pts/0\r\n", "5 6\r\n", "got word"} { // the echo of the word may come between them
		if err == nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v, no %q in %q", err, want, out.String())
		}
	}
	_, err = proto.Receive(reports, &r)
	if err != nil || r.Type != proto.ReportExited || r.Exit.Code != 4 {
		t.Errorf("%+v, %v", r.Exit, err)
	}
}

// The daemon may die at any moment: what it would have been told is in the files.
func TestSurvivesTheDaemon(t *testing.T) {
	shared := t.TempDir()
	c := newContainer(t, image(t), "echo one; while [ ! -e /shared/go ]; do sleep 0.01; done; echo two; exit 9")
	c.Mounts = []mount.Mount{bind(shared, "/shared")}
	c.start()
	c.await(proto.ReportStarted)
	c.hangUp()
	follow(t, c, "one")
	sandbox.Eventually(t, "status", func() bool {
		_, err := os.Stat(filepath.Join(c.RunDir, proto.StatusName))
		return err == nil
	})
	var status proto.Status
	b, err := os.ReadFile(filepath.Join(c.RunDir, proto.StatusName))
	must(t, err)
	must(t, json.Unmarshal(b, &status))
	if status.MonitorPid != c.pid || status.MonitorStart == 0 || status.PidStart == 0 {
		t.Errorf("status %+v", status)
	}
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGPIPE} {
		must(t, unix.Kill(c.pid, s))
	}
	write(t, filepath.Join(shared, "go"), "")
	c.ended()
	var exit proto.Exit
	b, err = os.ReadFile(c.ExitPath)
	must(t, err)
	must(t, json.Unmarshal(b, &exit))
	if exit.Code != 9 || exit.FinishedAt.IsZero() || c.logged() != "one\ntwo\n" {
		t.Errorf("exit %+v, log %q", exit, c.logged())
	}
	if left, err := os.ReadDir(c.RunDir); err != nil || len(left) > 0 {
		t.Errorf("left in the run directory: %v %v", left, err)
	}
}

func TestDaemonDiesBeforeAnybodyAttached(t *testing.T) {
	c := newContainer(t, image(t), "echo never")
	c.AwaitAttach = true
	c.start()
	c.await(proto.ReportListening)
	c.hangUp()
	c.ended()
	if got := c.logged(); got != "" {
		t.Errorf("it ran: %q", got)
	}
}

func TestLogGoesOnAfterARecreate(t *testing.T) {
	root := image(t)
	first := newContainer(t, root, "echo one")
	first.run()
	second := newContainer(t, root, "echo two; printf three")
	second.Log = first.Log
	second.run()
	if got := second.logged(); got != "one\ntwo\nthree" {
		t.Errorf("got %q", got)
	}
}

func TestNoLog(t *testing.T) {
	c := newContainer(t, image(t), "echo out; exit 2")
	c.Log = proto.Log{}
	c.start()
	c.await(proto.ReportStarted)
	if exit := c.await(proto.ReportExited).Exit; exit.Code != 2 {
		t.Errorf("exit %+v", exit)
	}
}

func TestNoLineIsLostInARush(t *testing.T) {
	c := newContainer(t, image(t), "seq 1 200000 & seq 1 200000 >&2; wait")
	c.Log.MaxSize, c.Log.MaxFiles = 1<<20, 100
	if exit, _ := c.run(); exit.Code != 0 {
		t.Fatalf("exit %+v", exit)
	}
	next := map[string]int{}
	err := logs.Read(t.Context(), c.Log.Path, logs.Options{Tail: -1}, func(e logs.Entry) error {
		next[e.Stream]++
		if string(e.Line) != fmt.Sprint(next[e.Stream]) || e.Partial {
			return fmt.Errorf("line %d of %s is %q", next[e.Stream], e.Stream, e.Line)
		}
		return nil
	})
	if err != nil || next[logs.Stdout] != 200000 || next[logs.Stderr] != 200000 {
		t.Errorf("%v, %v", next, err)
	}
}
