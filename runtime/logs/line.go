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
	if e, ok := parseOwn(line); ok {
		return e, nil
	}
	return parseCRI(line)
}

// parseOwn reads a line as Append writes it. It is most of the work of reading a log: a tenth of parseCRI's.
func parseOwn(line []byte) (e Entry, ok bool) {
	const stamp = len("2006-01-02T15:04:05.000000000Z")
	const head = stamp + len(" stdout F ")
	if len(line) < head || line[head-1] != ' ' || line[head-3] != ' ' {
		return e, false
	}
	switch string(line[stamp : head-3]) {
	case " " + Stdout:
		e.Stream = Stdout
	case " " + Stderr:
		e.Stream = Stderr
	default:
		return e, false
	}
	switch line[head-2] {
	case 'F':
	case 'P':
		e.Partial = true
	default:
		return e, false
	}
	e.Line = line[head:]
	e.Time, ok = parseStamp(line[:stamp])
	return e, ok
}

// parseStamp reads a time of layout in UTC.
func parseStamp(b []byte) (time.Time, bool) {
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != '.' || b[29] != 'Z' {
		return time.Time{}, false
	}
	bad := byte(0)
	number := func(from, to int) (n int) {
		for _, c := range b[from:to] {
			c -= '0'
			if c > 9 {
				bad = 1
			}
			n = 10*n + int(c)
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second, nano := number(11, 13), number(14, 16), number(17, 19), number(20, 29)
	if bad != 0 || year < 1 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	// Days since 1970, with years that begin in March.
	if month <= 2 {
		year--
		month += 12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
	return time.Unix(int64(days)*86400+int64(hour*3600+minute*60+second), int64(nano)).UTC(), true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// parseCRI reads what another writer may have written.
func parseCRI(line []byte) (Entry, error) {
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
