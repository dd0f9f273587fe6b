package containers

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/moby/moby/api/types"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/single"
)

func (h *handlers) logs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	stdout, stderr := wire.Bool(r, "stdout"), wire.Bool(r, "stderr")
	if !stdout && !stderr {
		return invalid("Bad parameters: you must choose at least one stream") //nolint:staticcheck // docker's sentence
	}
	o := single.Logs{Follow: wire.Bool(r, "follow"), Tail: -1}
	if text := q.Get("tail"); text != "" && text != "all" {
		n, err := strconv.Atoi(text)
		if err == nil && n >= 0 { // dockerd takes anything else for all
			o.Tail = n
		}
	}
	now := time.Now()
	for name, into := range map[string]*time.Time{"since": &o.Since, "until": &o.Until} {
		text := q.Get(name)
		if text == "0" { // some clients' word for no bound
			continue
		}
		var err error
		if *into, err = wire.Time(name, text, now); err != nil {
			return err
		}
	}
	d, err := h.engine.Inspect(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	read, err := h.engine.Logs(r.Context(), d.ID, o)
	if err != nil {
		return err
	}
	kind := types.MediaTypeRawStream
	if !d.TTY && wire.VersionOf(r.Context()) >= 42 {
		kind = types.MediaTypeMultiplexedStream
	}
	body := wire.Stream(w, kind)
	out, errs := outputs(body, d.TTY, stdout, stderr)
	if err := read(r.Context(), func(x ask.LogEntry) error { return writeEntry(out, errs, x, wire.Bool(r, "timestamps"), d.TTY) }); err != nil && r.Context().Err() == nil {
		_, sink := outputs(body, d.TTY, true, true)
		if sink == nil {
			sink = body
		}
		io.WriteString(sink, "Error grabbing logs: "+err.Error()+"\n") //nolint:errcheck // the peer is gone
	}
	return nil
}

// logTime is how times stand before lines.
const logTime = "2006-01-02T15:04:05.000000000Z07:00"

// writeEntry writes a line of a log to the stream that it is of, if anybody wants that.
func writeEntry(out, errs io.Writer, x ask.LogEntry, stamped, terminal bool) error {
	to := out
	if x.Stream == "stderr" && !terminal {
		to = errs
	}
	if to == nil {
		return nil
	}
	var line []byte
	if stamped {
		line = append(x.Time.UTC().AppendFormat(line, logTime), ' ')
	}
	line = append(line, x.Line...)
	if !x.Partial {
		line = append(line, '\n')
	}
	_, err := to.Write(line)
	return err
}
