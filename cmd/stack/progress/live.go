package progress

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/event"
)

// live keeps one line per resource and draws them anew in place.
type live struct {
	w     io.Writer
	color bool
	size  func() (rows, cols int)
	now   func() time.Time
	done  chan struct{}
	ended chan struct{}

	mu        sync.Mutex
	rows      []*row
	byTitle   map[string]*row
	began     time.Time
	drawn     []int // visible columns of each line on the screen
	dirty     bool
	suspended int
	closed    bool
}

// row is one resource.
type row struct {
	title string
	event event.Event
	began time.Time
	took  time.Duration // of the last state; set when it is not working
	why   string        // it is made anew: said first, and of interest to the end
	tail  tail          // of the step of a build that works
}

const frameTime = 100 * time.Millisecond

func newLive(w io.Writer, o Options, size func() (int, int), now func() time.Time) *live {
	l := &live{
		w: w, color: o.Color, size: size, now: now, byTitle: map[string]*row{}, began: now(),
		done: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.tick()
	return l
}

func (l *live) tick() {
	defer close(l.ended)
	t := time.NewTicker(frameTime)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			l.mu.Lock()
			if l.dirty || l.working() > 0 {
				l.draw(false)
			}
			l.mu.Unlock()
		case <-l.done:
			return
		}
	}
}

func (l *live) Event(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	name := title(e)
	r := l.byTitle[name]
	if r == nil {
		r = &row{title: plaintext.OneLine(name), began: l.now()}
		l.byTitle[name] = r
		l.rows = append(l.rows, r)
	}
	l.dirty = true
	if len(e.Output) > 0 {
		r.tail.write(e.Detail, e.Output)
		return
	}
	if strings.HasPrefix(e.Detail, r.tail.step+" ") { // that step has ended
		r.tail = tail{}
	}
	// Done and working again (created, then starting): the clock is the resource's, from its first event on.
	r.event = e
	if e.Announces() {
		r.why = e.Detail
	}
	if e.Phase != event.Working {
		r.took = l.now().Sub(r.began)
		r.tail = tail{} // with what has failed its last lines are told
	}
}

func (l *live) Suspend() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed { // what is drawn stays
		return func() {}
	}
	l.erase()
	l.suspended++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.suspended--
		l.dirty = true
	}
}

func (l *live) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.suspended = 0
	l.draw(true)
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	<-l.ended
}

func (l *live) working() (n int) {
	for _, r := range l.rows {
		if r.event.Phase == event.Working {
			n++
		}
	}
	return n
}

// erase moves to the first line drawn and clears to the end of the screen. A terminal that became narrower has
// wrapped our lines since, so how many there are depends on its width now.
func (l *live) erase() {
	if len(l.drawn) == 0 {
		return
	}
	_, cols := l.size()
	up := 0
	for _, n := range l.drawn {
		up += max(1, (n+cols-1)/cols)
	}
	fmt.Fprintf(l.w, "\x1b[%dA\r\x1b[J", up)
	l.drawn = nil
}

// draw replaces what is on the screen in one write. When last, every row is drawn, else as many as fit.
func (l *live) draw(last bool) {
	l.dirty = false
	if l.suspended > 0 || len(l.rows) == 0 || l.closed {
		return
	}
	height, cols := l.size()
	var out strings.Builder
	w := l.w
	l.w = &out
	l.erase()
	l.w = w
	finished := len(l.rows) - l.working()
	l.line(&out, cols, fmt.Sprintf("[+] %d/%d", finished, len(l.rows)), "", "", l.now().Sub(l.began), "")
	shown, hidden := l.rows, 0
	if room := height - 3; !last && len(shown) > room {
		shown, hidden = l.fit(max(1, room)), len(l.rows)-max(1, room)
	}
	below := 0 // lines of output for each
	if n := l.working(); n > 0 && !last {
		below = min(tailLines, (height-3-len(shown))/n)
	}
	for _, r := range shown {
		took := r.took
		if r.event.Phase == event.Working {
			took = l.now().Sub(r.began)
		}
		l.line(&out, cols, " "+l.mark(r)+" "+r.title, plaintext.OneLine(r.event.Text)+amount(r.event), plaintext.OneLine(cmp.Or(r.event.Detail, r.why)), took, colors[r.event.Phase])
		for _, text := range r.tail.last(max(0, below)) {
			l.line(&out, cols, "   │ "+text, "", "", 0, "2")
		}
	}
	if hidden > 0 {
		l.line(&out, cols, fmt.Sprintf("   and %d more", hidden), "", "", 0, "")
	}
	io.WriteString(l.w, out.String()) //nolint:errcheck // the terminal is gone
}

// fit chooses n rows: those that work first, in their order.
func (l *live) fit(n int) []*row {
	chosen := map[*row]bool{}
	for _, want := range []bool{true, false} {
		for i := len(l.rows) - 1; i >= 0 && len(chosen) < n; i-- {
			if (l.rows[i].event.Phase == event.Working) == want {
				chosen[l.rows[i]] = true
			}
		}
	}
	var rows []*row
	for _, r := range l.rows {
		if chosen[r] {
			rows = append(rows, r)
		}
	}
	return rows
}

var marks = map[event.Phase]string{event.Done: "✔", event.Warning: "!", event.Failed: "✘"}

var colors = map[event.Phase]string{
	event.Working: "34", event.Done: "32", event.Warning: "33", event.Failed: "31",
}

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func (l *live) mark(r *row) string {
	if m, ok := marks[r.event.Phase]; ok {
		return m
	}
	return spinner[int(l.now().Sub(r.began)/frameTime)%len(spinner)]
}

// line writes one line of at most cols columns: left, state, detail, and the time at the right edge.
// All but the last column are used: writing into it would make some terminals wrap.
func (l *live) line(out *strings.Builder, cols int, left, state, detail string, took time.Duration, color string) {
	right := ""
	if took > 0 {
		right = fmt.Sprintf("%.1fs", took.Seconds())
	}
	room := max(1, cols-1-len(right)-1)
	leftText := truncate(left, room)
	used := columns(leftText)
	stateText := ""
	if state != "" && room-used > 3 {
		stateText = truncate(state, room-used-2)
		used += 2 + columns(stateText)
	}
	detailText := ""
	if detail != "" && room-used > 6 {
		detailText = truncate(detail, room-used-2)
		used += 2 + columns(detailText)
	}
	out.WriteString(l.paint(leftText, color))
	if stateText != "" {
		out.WriteString("  " + l.paint(stateText, color))
	}
	if detailText != "" {
		out.WriteString("  " + detailText)
	}
	if right != "" {
		out.WriteString(strings.Repeat(" ", max(1, room-used+1)) + l.paint(right, "2"))
		used = room + 1 + len(right)
	}
	out.WriteString("\x1b[K\n")
	l.drawn = append(l.drawn, used)
}

func (l *live) paint(s, code string) string {
	if !l.color || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// amount is how far a pull is.
func amount(e event.Event) string {
	if e.Phase != event.Working || e.Current <= 0 {
		return ""
	}
	if e.Total <= 0 {
		return " " + decimal(e.Current)
	}
	return fmt.Sprintf(" %s / %s", decimal(e.Current), decimal(e.Total))
}

// decimal is n in decimal units, as docker prints sizes: 12.3MB.
func decimal(n int64) string {
	f, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for f >= 1000 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.1f%s", f, units[unit])
}
