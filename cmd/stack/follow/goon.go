// Package follow goes on with what a daemon tells, logs and events, when another daemon takes its place.
package follow

import (
	"context"
	"errors"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
)

// GoOn calls follow, and again when the daemon has gone away: it was killed, or another build takes its place, and what it told of goes on
// without it. follow continues where it was, with the next one. Daemons that come and go at once, again and again, are not waited for.
func GoOn(ctx context.Context, follow func() error) error {
	const most, atOnce = 5, time.Second
	for times := 0; ; {
		begun := time.Now()
		err := follow()
		if !errors.Is(err, errdefs.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if times++; time.Since(begun) > atOnce {
			times = 0
		}
		if times == most {
			return err
		}
	}
}

// Sequel is the reading of logs in parts, by one daemon after another: each goes on behind the last line of those before.
type Sequel struct {
	options ask.LogOptions
	begun   time.Time
	seen    Places
	parts   int
}

// NewSequel is the reading that o asks for, from now on.
func NewSequel(o ask.LogOptions) *Sequel {
	return &Sequel{options: o, begun: time.Now(), seen: Places{}}
}

// Next are the options of the next part, and each without what an earlier one has delivered.
func (s *Sequel) Next(each func(ask.LogEntry) error) (ask.LogOptions, func(ask.LogEntry) error) {
	o := s.options
	if s.parts++; s.parts > 1 {
		// Of a container that has no line yet, all is new that came since the beginning; of the others, what comes behind the last.
		o.Tail, o.Since = -1, s.begun
		for _, at := range s.seen {
			if at.at.Before(o.Since) {
				o.Since = at.at
			}
		}
		if o.Level != "" {
			o.Since = o.Since.Add(-time.Second) // the level of a line may be told by one shortly before it
		}
		if o.Since.Before(s.options.Since) {
			o.Since = s.options.Since
		}
	}
	read := Places{}
	return o, func(e ask.LogEntry) error {
		if e.Notice {
			return each(e)
		}
		at, last := read.Next(e), s.seen[e.Container]
		if s.parts > 1 && (!at.After(last) || last.n == 0 && e.Time.Before(s.begun)) {
			return nil
		}
		s.seen[e.Container] = at
		return each(e)
	}
}
