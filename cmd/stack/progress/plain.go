package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/stackrun/stack/reconcile"
)

// plain writes one line per state change. Progress of a download is none.
type plain struct {
	mu   sync.Mutex
	w    io.Writer
	last map[string]string // by title: the line written last
}

func newPlain(w io.Writer) *plain { return &plain{w: w, last: map[string]string{}} }

func (p *plain) Event(e reconcile.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf(" %s  %s", title(e), e.Text)
	if e.Detail != "" {
		line += "  " + e.Detail
	}
	line = clean(line)
	if p.last[title(e)] == line {
		return
	}
	p.last[title(e)] = line
	fmt.Fprintln(p.w, line)
}

func (p *plain) Suspend() (resume func()) { return func() {} }
func (p *plain) Close()                   {}

// jsonLines writes one object per event, with the keys of docker compose's --progress json.
type jsonLines struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newJSON(w io.Writer) *jsonLines { return &jsonLines{enc: json.NewEncoder(w)} }

type jsonLine struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // Working Done Warning Error
	Text    string `json:"text"`
	Details string `json:"details,omitempty"`
	Current int64  `json:"current,omitempty"` // bytes
	Total   int64  `json:"total,omitempty"`   // bytes
	Percent int    `json:"percent,omitempty"`
	Exit    *int   `json:"exit,omitempty"`
}

var jsonStatus = map[reconcile.Phase]string{
	reconcile.Working: "Working", reconcile.Done: "Done", reconcile.Warning: "Warning", reconcile.Failed: "Error",
}

func (j *jsonLines) Event(e reconcile.Event) {
	l := jsonLine{
		ID: title(e), Status: jsonStatus[e.Phase], Text: e.Text, Details: e.Detail,
		Current: e.Current, Total: e.Total, Exit: e.Exit,
	}
	if e.Total > 0 {
		l.Percent = int(min(100, e.Current*100/e.Total))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.enc.Encode(l) //nolint:errcheck // stderr
}

func (j *jsonLines) Suspend() (resume func()) { return func() {} }
func (j *jsonLines) Close()                   {}
