package containers

import (
	"encoding/json"
	"io"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
)

// logObject is a line of `logs --json`.
type logObject struct {
	Container string    `json:"container"`
	Service   string    `json:"service"`
	Replica   int       `json:"replica,omitempty"` // none of a one-off
	Time      time.Time `json:"time"`
	Stream    string    `json:"stream"`            // stdout stderr
	Line      string    `json:"line"`              // what is no UTF-8 in it is U+FFFD
	Partial   bool      `json:"partial,omitempty"` // the program has not ended the line
}

// objects writes entries to out as JSON, one a line; sentences about a log go to notice.
func objects(out io.Writer, notice func(ask.LogEntry) error) func(ask.LogEntry) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return func(e ask.LogEntry) error {
		if e.Notice {
			return notice(e)
		}
		return enc.Encode(logObject{e.Container, e.Service, e.Replica, e.Time, e.Stream, string(e.Line), e.Partial})
	}
}
