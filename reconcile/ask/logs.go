package ask

import (
	"time"
)

// LogOptions is one `logs`.
type LogOptions struct {
	Services []string
	Index    int
	Follow   bool
	Linger   bool // with Follow: do not end when nothing runs yet, only when something has run and ended
	Tail     int  // -1 = all
	Since    time.Time
	Until    time.Time
	Grep     string // only lines that match this regular expression (RE2 syntax); Tail counts those
	Level    string // only lines that tell of this level or a worse one, by package severity's names
}

// LogEntry is one line of one container's output, without its newline. Line is valid until the function that is given the entry returns.
type LogEntry struct {
	Container string    `json:"container"` // shop-web-1; "" in a notice about a service that has none
	Service   string    `json:"service"`
	Replica   int       `json:"replica,omitempty"`
	Time      time.Time `json:"time"`
	Stream    string    `json:"stream"`            // stdout stderr
	Line      []byte    `json:"line"`              // bytes as written
	Partial   bool      `json:"partial,omitempty"` // the program has not ended the line (F/P tag of the CRI format)
	Notice    bool      `json:"notice,omitempty"`  // no output, but a sentence about the log: what of it is missing, and why
}
