package logs

import (
	"bytes"
	"errors"
	"time"
)

// Names of streams in a line.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// layout is RFC 3339 with all nine digits: fixed width sorts as text and is quick to write.
const layout = "2006-01-02T15:04:05.000000000Z07:00"

// Entry is one line of a log.
type Entry struct {
	Time   time.Time
	Stream string // Stdout or Stderr
	// Partial says that the text does not end a line: it was longer than MaxLine, or the stream ended without a newline.
	Partial bool
	Line    []byte // without newline
}

var errLine = errors.New("not a log line: expected \"<time> stdout|stderr F|P <text>\"")

// AppendPrefix appends what stands before the text of a line.
func AppendPrefix(b []byte, t time.Time, stream string, partial bool) []byte {
	b = t.UTC().AppendFormat(b, layout)
	b = append(b, ' ')
	b = append(b, stream...)
	if partial {
		return append(b, " P "...)
	}
	return append(b, " F "...)
}

// Append appends e as a line of a log with its newline.
// Precondition: e.Line holds no newline.
func Append(b []byte, e Entry) []byte {
	b = AppendPrefix(b, e.Time, e.Stream, e.Partial)
	b = append(b, e.Line...)
	return append(b, '\n')
}

// Parse reads a line without its newline. Entry.Line is a part of line and not a copy.
func Parse(line []byte) (Entry, error) {
	stamp, rest, ok1 := bytes.Cut(line, []byte{' '})
	stream, rest, ok2 := bytes.Cut(rest, []byte{' '})
	tag, text, ok3 := bytes.Cut(rest, []byte{' '})
	if !ok1 || !ok2 || !ok3 {
		return Entry{}, errLine
	}
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return Entry{}, errLine
	}
	e := Entry{Time: t, Line: text}
	switch string(stream) {
	case Stdout:
		e.Stream = Stdout
	case Stderr:
		e.Stream = Stderr
	default:
		return Entry{}, errLine
	}
	// CRI allows more tags after a colon: "F:tag".
	switch first, _, _ := bytes.Cut(tag, []byte{':'}); string(first) {
	case "F":
	case "P":
		e.Partial = true
	default:
		return Entry{}, errLine
	}
	return e, nil
}
