package proto

import (
	"strconv"
	"unicode/utf8"
)

// Message is a Report or a Step.
type Message interface{ code(*wire) }

// Decode reads one packet into m.
func Decode(b []byte, m Message) error {
	w := &wire{b: b, reading: true}
	m.code(w)
	return w.err
}

func (r *Report) code(w *wire) {
	name(w, &r.Type)
	optional(w, &r.Status, (*wire).status)
	optional(w, &r.Failure, (*wire).failure)
	optional(w, &r.Exit, func(w *wire, x *Exit) {
		number(w, &x.Code)
		number(w, &x.Signal)
		w.flag(&x.OOM)
		w.time(&x.StartedAt)
		w.time(&x.FinishedAt)
		w.text(&x.Error)
	})
	w.flag(&r.Kept)
	w.text(&r.Note)
}

func (w *wire) status(s *Status) {
	number(w, &s.MonitorPid)
	number(w, &s.MonitorStart)
	number(w, &s.MonitorWork)
	number(w, &s.Pid)
	number(w, &s.PidStart)
	w.time(&s.StartedAt)
	w.text(&s.LogError)
}

func (s *Step) code(w *wire) {
	name(w, &s.Type)
	none := false // as long as pid1's program has a word there
	w.flag(&none)
	w.text(&s.Note)
}

func (w *wire) failure(f *Failure) {
	w.text(&f.Stage)
	w.text(&f.Syscall)
	number(w, &f.Errno)
	w.text(&f.Path)
	w.text(&f.Detail)
	number(w, &f.ExitCode)
}

// JSON is the text of StatusName, as encoding/json, which the init program does not link, would have it.
func (s *Status) JSON() []byte {
	b := append(make([]byte, 0, 192), `{"monitorPid":`...)
	b = strconv.AppendInt(b, int64(s.MonitorPid), 10)
	b = append(b, `,"monitorStart":`...)
	b = strconv.AppendUint(b, s.MonitorStart, 10)
	if s.MonitorWork != 0 {
		b = append(b, `,"monitorWork":`...)
		b = strconv.AppendInt(b, int64(s.MonitorWork), 10)
	}
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(s.Pid), 10)
	b = append(b, `,"pidStart":`...)
	b = strconv.AppendUint(b, s.PidStart, 10)
	b = append(b, `,"startedAt":"`...)
	b = s.StartedAt.AppendFormat(b, rfc3339)
	b = append(b, '"')
	if s.LogError != "" {
		b = append(b, `,"logError":`...)
		b = appendString(b, s.LogError)
	}
	return append(b, '}')
}

// JSON is the text of an exit file.
func (x *Exit) JSON() []byte {
	b := append(make([]byte, 0, 128+len(x.Error)), `{"code":`...)
	b = strconv.AppendInt(b, int64(x.Code), 10)
	if x.Signal != 0 {
		b = append(b, `,"signal":`...)
		b = strconv.AppendInt(b, int64(x.Signal), 10)
	}
	if x.OOM {
		b = append(b, `,"oom":true`...)
	}
	if !x.StartedAt.IsZero() {
		b = append(b, `,"startedAt":"`...)
		b = x.StartedAt.AppendFormat(b, rfc3339)
		b = append(b, '"')
	}
	b = append(b, `,"finishedAt":"`...)
	b = x.FinishedAt.AppendFormat(b, rfc3339)
	b = append(b, '"')
	if x.Error != "" {
		b = append(b, `,"error":`...)
		b = appendString(b, x.Error)
	}
	if x.Unseen {
		b = append(b, `,"unseen":true`...)
	}
	return append(b, '}')
}

const rfc3339 = "2006-01-02T15:04:05.999999999Z07:00"

// appendString appends s as a JSON string (RFC 8259, section 7). What is no UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
