package progress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/event"
)

// plain writes one line per state change. Progress of a download is none.
type plain struct {
	mu   sync.Mutex
	w    io.Writer
	last map[string]string // by title: the line written last
	part map[string][]byte // by title: a line of a build's output that has not ended
}

func newPlain(w io.Writer) *plain {
	return &plain{w: w, last: map[string]string{}, part: map[string][]byte{}}
}

func (p *plain) Event(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(e.Output) > 0 {
		p.output(e)
		return
	}
	p.endOutput(e)
	line := fmt.Sprintf(" %s  %s", title(e), e.Text)
	if e.Detail != "" {
		line += "  " + e.Detail
	}
	line = plaintext.OneLine(line)
	if p.last[title(e)] == line {
		return
	}
	p.last[title(e)] = line
	fmt.Fprintln(p.w, line)
}

// output writes the lines that a step of a build has written, each with whose it is: several builds work at a time. A line that has not ended
// waits for its end.
func (p *plain) output(e event.Event) {
	key := e.Name + " " + e.Detail
	text := append(p.part[key], e.Output...)
	for {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		if !ended && len(text) < maxLine {
			break
		}
		fmt.Fprintf(p.w, " %s | %s\n", plaintext.OneLine(key), plaintext.Output(string(line)))
		text = rest
	}
	p.part[key] = append([]byte(nil), text...)
}

// maxLine is how much of a line is waited for, bytes.
const maxLine = 16 << 10

// endOutput writes what there is of a line of the step that e tells of, or of its build: it has ended.
func (p *plain) endOutput(e event.Event) {
	for key, text := range p.part {
		step, of := strings.CutPrefix(key, e.Name+" ")
		if e.Kind != "image" || !of || e.Phase == event.Working && !strings.HasPrefix(e.Detail, step+" ") {
			continue
		}
		if len(text) > 0 {
			fmt.Fprintf(p.w, " %s | %s\n", plaintext.OneLine(key), plaintext.Output(string(text)))
		}
		delete(p.part, key)
	}
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
	Output  string `json:"output,omitempty"` // of a step of a build, which details names
}

var jsonStatus = map[event.Phase]string{
	event.Working: "Working", event.Done: "Done", event.Warning: "Warning", event.Failed: "Error",
}

func (j *jsonLines) Event(e event.Event) {
	l := jsonLine{
		ID: title(e), Status: jsonStatus[e.Phase], Text: e.Text, Details: e.Detail,
		Current: e.Current, Total: e.Total, Exit: e.Exit, Output: string(e.Output),
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
