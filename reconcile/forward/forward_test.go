package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/logs"
)

// receiver takes what is sent, and can be away, hang up, and hold back that it has got something.
type receiver struct {
	mu        sync.Mutex
	away      error
	lines     []string
	unsettled bool // nothing is acknowledged any more
	panics    bool // who sends to it
	lags      bool // the newest batch is not acknowledged yet
	conn      *connection
	opened    int
}

type connection struct {
	r *receiver

	written, last, arrived int64 // lines
	gone                   chan struct{}
	once                   sync.Once
}

func (r *receiver) open(context.Context, *inventory.Container) (Sender, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != nil {
		return nil, r.away
	}
	r.opened++
	r.conn = &connection{r: r, gone: make(chan struct{})}
	return r.conn, nil
}

func (c *connection) Send(all []logdriver.Message) error {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	select {
	case <-c.gone:
		return errHungUp
	default:
	}
	if c.r.panics {
		panic("no such line was thought of")
	}
	for _, m := range all {
		c.r.lines = append(c.r.lines, string(m.Line))
	}
	c.last = int64(len(all))
	c.written += c.last
	return nil
}

func (c *connection) Flow() (written, waiting int64, err error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	switch {
	case c.r.unsettled:
	case c.r.lags:
		c.arrived = max(c.arrived, c.written-c.last)
	default:
		c.arrived = c.written
	}
	return c.written, c.written - c.arrived, nil
}
func (c *connection) Gone() <-chan struct{} { return c.gone }
func (c *connection) Datagrams() bool       { return false }
func (c *connection) Close() error {
	c.once.Do(func() { close(c.gone) })
	return nil
}

// set changes r.
func (r *receiver) set(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// goes hangs up, and is not there any more.
func (r *receiver) goes() {
	r.mu.Lock()
	conn := r.conn
	r.away = errors.New("connection refused")
	r.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (r *receiver) has() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// bench is a container with a log, and who forwards it.
type bench struct {
	*testing.T
	*Forwarder
	receiver
	c     *inventory.Container
	log   *logs.Writer
	dir   string
	hub   *event.Hub
	kill  context.CancelFunc
	tasks sync.WaitGroup
	n     int
}

func newBench(t *testing.T, size int64, files int) *bench {
	b := &bench{T: t, dir: t.TempDir(), hub: new(event.Hub)}
	path := filepath.Join(b.dir, "web-1.log")
	var err error
	if b.log, err = logs.OpenWriter(path, size, files); err != nil {
		t.Fatal(err)
	}
	b.c = &inventory.Container{Project: "shop", Service: "web", Name: "shop-web-1", Spec: plan.Spec{Logging: plan.Logging{Driver: "syslog", Options: map[string]string{"syslog-address": "tcp://logs:514"}}}}
	b.c.ID, b.c.Status = strings.Repeat("ab", 32), runtime.Running
	b.c.Config = &runtime.Config{Spec: &specs.Spec{}, Log: runtime.LogConfig{Path: path}}
	b.boot()
	if err := os.Mkdir(b.o.Dir(b.c.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.shut()
		b.hub.Close()
		b.log.Close()
	})
	return b
}

// boot is a daemon that begins, shut one that is killed.
func (b *bench) boot() {
	ctx, cancel := context.WithCancel(context.Background())
	b.kill = cancel
	b.Forwarder = New(Options{Hub: b.hub, Log: slog.New(slog.DiscardHandler), Life: ctx, Go: func(do func()) { b.tasks.Go(do) }, Dir: func(id string) string { return filepath.Join(b.dir, id) }})
	b.Forwarder.open = b.receiver.open
}

func (b *bench) shut() {
	b.kill()
	b.tasks.Wait()
}

// write logs n lines more, numbered from 1.
func (b *bench) write(n int) {
	for range n {
		b.n++
		b.log.Write(logs.Stdout, time.Now(), fmt.Appendf(nil, "%d\n", b.n))
	}
}

func (b *bench) eventually(what string, cond func() bool) {
	b.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%s: it does not come about; %q", what, b.has())
		}
	}
}

// sent waits until all that was written has come.
func (b *bench) sent() {
	b.Helper()
	last := fmt.Sprint(b.n)
	b.eventually("line "+last+" comes", func() bool { all := b.has(); return len(all) > 0 && all[len(all)-1] == last })
}

// once says that the lines from first on came, each once and in order.
func (b *bench) once(first int) {
	b.Helper()
	var want []string
	for i := first; i <= b.n; i++ {
		want = append(want, fmt.Sprint(i))
	}
	if got := b.has(); !slices.Equal(got, want) {
		b.Errorf("%q came, not %d to %d", got, first, b.n)
	}
}

// events are what is told while do goes on, until the event with text.
func (b *bench) events(text string, do func()) (all []string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	told := b.hub.Subscribe(ctx, "shop", event.Window{})
	do()
	for ev := range told {
		all = append(all, fmt.Sprintf("%s %s: %s", ev.Phase, ev.Text, ev.Detail))
		if ev.Text == text {
			return all
		}
	}
	b.Fatalf("%q was not told; %q was", text, all)
	return nil
}

// A container sends what it writes itself, and not what its predecessor has left in the log; and again in its next run, and by the next daemon.
func TestSendsWhatItsContainerWrites(t *testing.T) {
	b := newBench(t, 0, 1)
	b.write(5)
	b.Begin(b.c)
	b.write(3)
	b.sent()
	b.once(6)
	b.Ended(b.c.ID, yes)
	b.eventually("the feed ends with its run", func() bool { return b.feed(b.c.ID) == nil })
	b.Begin(b.c)
	b.write(1000)
	b.sent()
	b.once(6)
	b.eventually("the cursor is there", func() bool { at, ok := load(b.o.Dir(b.c.ID)); return ok && at.behind(b.c.Config.Log.Path) == 0 })
	b.shut()
	b.write(7)
	b.boot()
	b.Adopt(b.c)
	b.sent()
	b.once(6)
	// One that has ended meanwhile.
	b.shut()
	b.write(2)
	b.boot()
	b.c.Status = runtime.Stopped
	b.Adopt(b.c)
	b.sent()
	b.once(6)
	b.eventually("the feed ends", func() bool { return b.feed(b.c.ID) == nil })
	b.Adopt(b.c)
	if b.feed(b.c.ID) != nil {
		t.Error("a log that was sent has a feed")
	}
}

func yes() bool { return true }

// The news that a run has ended may come when the next one has begun: that is followed all the same.
func TestLateNewsOfAnEnd(t *testing.T) {
	b := newBench(t, 0, 1)
	b.Begin(b.c)
	b.write(1)
	b.sent()
	b.Begin(b.c)
	b.Ended(b.c.ID, func() bool { return false })
	b.write(1)
	b.sent()
	b.Begin(b.c)
	b.Ended(b.c.ID, yes) // between the first call of Begin and the second
	b.Begin(b.c)
	b.write(1)
	b.sent()
	b.once(1)
}

// What is not known to have arrived is sent again by the next daemon, and on the next connection.
func TestSendsAgainWhatMayNotHaveArrived(t *testing.T) {
	b := newBench(t, 0, 1)
	b.Begin(b.c)
	b.write(2)
	b.sent()
	b.eventually("it is settled", func() bool { at, ok := load(b.o.Dir(b.c.ID)); return ok && at.behind(b.c.Config.Log.Path) == 0 })
	b.set(func() { b.unsettled = true })
	b.write(2)
	b.sent()
	b.shut()
	b.set(func() { b.lines = nil })
	b.boot()
	b.Adopt(b.c)
	b.sent()
	b.once(3)
	b.set(func() { b.lines = nil })
	b.set(func() { b.unsettled = false; b.conn.Close() })
	b.write(1)
	b.sent()
	if all := b.has(); len(all) != 1 && len(all) != 3 { // whether it was seen that the first two had arrived is chance
		t.Errorf("%q came", all)
	}
}

// The cursor moves while a container keeps writing, and a receiver that was away is back then, although there is always something on its way.
func TestCursorMovesWhileLinesAreOnTheirWay(t *testing.T) {
	b := newBench(t, 0, 1)
	b.goes()
	b.events(NotSent, func() { b.Begin(b.c) })
	b.write(1)
	b.events(SentAgain, func() { b.set(func() { b.away, b.lags = nil, true }); b.sent(); b.write(1); b.sent() })
	b.write(10)
	b.sent()
	b.write(1)
	b.sent()
	b.eventually("the cursor is behind all but the last batch", func() bool {
		at, ok := load(b.o.Dir(b.c.ID))
		return ok && at.at.Offset > 0 && at.behind(b.c.Config.Log.Path) > 0 && at.behind(b.c.Config.Log.Path) < 60 // a line
	})
	at, _ := load(b.o.Dir(b.c.ID))
	if at.atEnd(b.c.Config.Log.Path) {
		t.Error("the cursor is behind what is still on its way")
	}
	if got := b.Problem(b.c.ID); got != "" {
		t.Errorf("why: %q", got)
	}
	// The next daemon sends what was on its way, and no more.
	b.shut()
	b.set(func() { b.lines = nil })
	b.boot()
	b.Adopt(b.c)
	b.sent()
	if all := b.has(); len(all) != 1 {
		t.Errorf("%q came again", all)
	}
}

// A receiver that accepts a connection and reads nothing is away: that is told, and no daemon waits for it.
func TestReceiverReadsNothing(t *testing.T) {
	b := newBench(t, 0, 1)
	path := filepath.Join(t.TempDir(), "log")
	in, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b.c.Spec.Logging.Options = map[string]string{"syslog-address": "unix://" + path}
	b.Forwarder.open, b.patience = connect, 50*time.Millisecond
	b.Begin(b.c)
	all := b.events(NotSent, func() {
		b.write(3)
		b.Ended(b.c.ID, yes)
	})
	if len(all) != 1 || !strings.Contains(all[0], "it has taken nothing of what was sent for 50ms") {
		t.Errorf("told: %q", all)
	}
	if b.Problem(b.c.ID) == "" || !b.Idle() {
		t.Errorf("why: %q, idle: %v", b.Problem(b.c.ID), b.Idle())
	}
	if at, ok := load(b.o.Dir(b.c.ID)); !ok || at.behind(b.c.Config.Log.Path) == 0 {
		t.Error("what nobody has read counts as received")
	}
}

// A receiver that was away is back when it can be reached and has everything: nobody waits for the next line to say so.
func TestReceiverIsBackBeforeTheNextLine(t *testing.T) {
	b := newBench(t, 0, 1)
	b.goes()
	b.events(NotSent, func() { b.Begin(b.c) })
	b.events(SentAgain, func() { b.set(func() { b.away = nil }) })
	if got := b.Problem(b.c.ID); got != "" {
		t.Errorf("why, when it is back: %q", got)
	}
}

// Who watches a container's directory for what other hands change there hears nothing of its log that is sent.
func TestCursorWakesNobody(t *testing.T) {
	b := newBench(t, 0, 1)
	b.Begin(b.c)
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, b.o.Dir(b.c.ID), unix.IN_MODIFY|unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	b.write(1000)
	b.sent()
	b.eventually("the cursor is there", func() bool {
		at, ok := load(b.o.Dir(b.c.ID))
		return ok && at.at.Offset > 0 && at.behind(b.c.Config.Log.Path) == 0
	})
	if n, err := unix.Read(fd, make([]byte, 4096)); err != unix.EAGAIN {
		t.Errorf("%d bytes of events, %v", n, err)
	}
	// It goes with the directory, and does not come back.
	if err := os.RemoveAll(b.o.Dir(b.c.ID)); err != nil {
		t.Fatal(err)
	}
	b.write(1)
	b.sent()
	b.shut()
	if _, err := os.Stat(b.o.Dir(b.c.ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is there again: %v", err)
	}
}

// What has ended and has nothing to send needs no receiver.
func TestNothingToSend(t *testing.T) {
	b := newBench(t, 0, 1)
	b.goes()
	b.events(NotSent, func() { b.Begin(b.c) })
	b.Ended(b.c.ID, yes)
	b.eventually("the feed ends", func() bool { return b.feed(b.c.ID) == nil })
}

// A receiver that is away is told once, and when it is back; nothing is lost. Who starts a container is told too, and asked why as long as it lasts.
func TestReceiverIsAway(t *testing.T) {
	b := newBench(t, 0, 1)
	b.goes()
	var sink []string
	all := b.events(NotSent, func() {
		b.Begin(b.c)
		b.Report(t.Context(), b.c, func(ev event.Event) { sink = append(sink, ev.Detail) }, true)
	})
	const why = "syslog at tcp://logs:514: cannot reach it: connection refused"
	if len(all) != 1 || !strings.HasPrefix(all[0], "warning Log not sent: "+why) || len(sink) != 1 || !strings.HasPrefix(sink[0], why) {
		t.Errorf("told: %q, to who starts it: %q", all, sink)
	}
	if got := b.Problem(b.c.ID); got != why {
		t.Errorf("why: %q", got)
	}
	b.write(300)
	all = b.events(SentAgain, func() { b.set(func() { b.away = nil }) })
	if len(all) != 1 {
		t.Errorf("told: %q", all)
	}
	b.sent()
	b.once(1)
	if got := b.Problem(b.c.ID); got != "" {
		t.Errorf("why, when it is back: %q", got)
	}
	// One that hangs up and is back before the next line is no news.
	b.set(func() { b.conn.Close() })
	b.eventually("it is seen", func() bool { b.write(1); b.sent(); return b.opened > 1 })
	b.once(1)
	all = b.events(NotSent, func() { b.goes(); b.write(1) })
	if len(all) != 1 {
		t.Errorf("told: %q", all)
	}
}

// Lines that rotation drops before they are sent are told.
func TestRotationDropsWhatWasNotSent(t *testing.T) {
	b := newBench(t, 1000, 2)
	b.goes()
	b.events(NotSent, func() { b.Begin(b.c) })
	b.write(500)
	all := b.events(SentAgain, func() { b.set(func() { b.away = nil }) })
	b.sent()
	if i := slices.IndexFunc(all, func(s string) bool { return strings.Contains(s, "lines are missing here, ") }); i < 0 || !strings.Contains(all[i], "cache-max-size") {
		t.Errorf("told: %q", all)
	}
}

// What is left is sent before a container goes. A receiver that is away is not waited for, and that is told.
func TestFinish(t *testing.T) {
	b := newBench(t, 0, 1)
	b.Begin(b.c)
	b.write(1000)
	var sink []string
	tell := func(ev event.Event) { sink = append(sink, ev.Detail) }
	if b.Idle() != true {
		t.Error("a feed of what runs is work")
	}
	b.Finish(t.Context(), b.c, tell)
	b.once(1)
	if len(sink) > 0 || b.feed(b.c.ID) != nil {
		t.Errorf("told: %q", sink)
	}
	b.goes()
	b.Begin(b.c)
	b.write(1)
	b.eventually("it is away", func() bool { return b.Problem(b.c.ID) != "" })
	b.Finish(t.Context(), b.c, tell)
	if len(sink) != 1 || !strings.Contains(sink[0], "the last 45 bytes are lost to it") {
		t.Errorf("told: %q", sink)
	}
	if !b.Idle() {
		t.Error("there is work")
	}
}

// Nothing is done for containers whose logs are not sent.
func TestNothingForOthers(t *testing.T) {
	b := newBench(t, 0, 1)
	for _, driver := range []string{"", "json-file", "local"} {
		b.c.Spec.Logging.Driver = driver
		b.Begin(b.c)
		b.Adopt(b.c)
		b.Finish(t.Context(), b.c, nil)
		if _, found := load(b.o.Dir(b.c.ID)); found || len(b.feeds) > 0 || b.opened > 0 {
			t.Errorf("%q: %d feeds, a cursor: %v", driver, len(b.feeds), found)
		}
	}
}

// Of a line that was cut all pieces but the last are partial, and what ends without a newline is whole.
func TestPartialLines(t *testing.T) {
	b := newBench(t, 0, 1)
	b.log.Write(logs.Stdout, time.Now(), append(bytes.Repeat([]byte("x"), 2*logs.MaxLine+5), '\n'))
	b.log.Write(logs.Stdout, time.Now(), []byte("end"))
	b.log.End(logs.Stdout)
	ended := make(chan struct{})
	close(ended)
	r := read(t.Context(), b.c.Config.Log.Path, logs.Place{}, ended, func(string) {})
	var got []string
	for batch := range r.batches {
		for _, m := range batch.all {
			got = append(got, fmt.Sprint(len(m.Line), m.Partial))
		}
	}
	if err := <-r.result; err != nil || strings.Join(got, ", ") != "16384 true, 16384 true, 5 false, 3 false" {
		t.Errorf("%q, %v", got, err)
	}
}

// What an image says of itself is taken by every driver: a variable and a label may have no name.
func TestConnectTakesWhatImagesHave(t *testing.T) {
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	address := "udp://" + in.LocalAddr().String()
	for driver, options := range map[string]map[string]string{"gelf": {"gelf-address": address}, "syslog": {"syslog-address": address}} {
		options["env-regex"], options["labels-regex"], options["tag"] = ".*", ".*", "{{(.ExtraAttributes nil).A}}"
		c := &inventory.Container{Spec: plan.Spec{Logging: plan.Logging{Driver: driver, Options: options}}}
		c.Labels = map[string]string{"": "y"}
		c.Config = &runtime.Config{Spec: &specs.Spec{Process: &specs.Process{Env: []string{"=x", "A=1"}}}}
		s, err := connect(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", driver, err)
			continue
		}
		s.Close()
	}
}

// A panic of a feed is told as a receiver that is away is, and the feed goes on. Others do not notice.
func TestPanic(t *testing.T) {
	b := newBench(t, 0, 1)
	b.Begin(b.c)
	b.write(1)
	b.sent()
	b.write(1)
	all := b.events(NotSent, func() { b.set(func() { b.panics = true }); b.write(1) })
	if last := all[len(all)-1]; !strings.Contains(last, "the daemon failed in its own code: no such line was thought of") {
		t.Errorf("told: %q", all)
	}
	b.events(SentAgain, func() { b.set(func() { b.panics = false }) })
	b.sent()
	b.once(1)
}

// Nor of one who reads the log.
func TestPanicOfTheReader(t *testing.T) {
	b := newBench(t, 1000, 2)
	at, _ := load(b.o.Dir(b.c.ID))
	if err := at.begin(b.c.Config.Log.Path); err != nil {
		t.Fatal(err)
	}
	b.write(500)
	r := read(t.Context(), b.c.Config.Log.Path, at.at, nil, func(string) { panic("lines are missing") })
	defer r.close()
	for range r.batches {
	}
	if err := <-r.result; err == nil || !strings.Contains(err.Error(), "lines are missing") {
		t.Errorf("it has come to %v", err)
	}
}
