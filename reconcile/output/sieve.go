package output

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/output/severity"
	"github.com/stackrun/stack/runtime/logs"
)

const (
	// belongs is how long after a line that tells its level one that tells none is a part of what it says: the lines of a stack trace
	// are written at once.
	belongs = 100 * time.Millisecond

	longestLine = 1 << 20 // bytes of a line that is held until it ends; then it is judged by what is there
)

// choice is which lines are asked for by what is in them.
type choice struct {
	grep  *regexp.Regexp // nil = any
	level severity.Level // that or worse; None = any
}

// chosen is the choice of o, nil when every line is asked for.
func chosen(o ask.LogOptions) (*choice, error) {
	level, err := severity.Parse(o.Level)
	if err != nil {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	c := &choice{level: level}
	if o.Grep != "" {
		if c.grep, err = regexp.Compile(o.Grep); err != nil {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid pattern %q: %w", o.Grep, err))
		}
	}
	if c.grep == nil && c.level == severity.None {
		return nil, nil
	}
	return c, nil
}

// sieve lets the chosen lines of one log through. A line that comes in parts is judged when it has ended, by all of them, and all of them
// are let through or none. It lasts as long as the log is read, over several readings: what the level of a line is may be said by one before.
type sieve struct {
	choice *choice
	sides  map[string]*side // by stream
	lines  int              // that were judged
	told   int              // of them, those that told their level
}

func newSieve(c *choice) *sieve { return &sieve{choice: c, sides: map[string]*side{}} }

// side is a sieve's view of one stream.
type side struct {
	parts []logs.Entry // of the line that has not ended, copied
	line  []byte       // their text
	kept  bool         // what of the line came before parts was let through
	level severity.Level
	at    time.Time // of the line that told level
}

// read reads the log at path as [logs.Read] does, the chosen lines alone. o.Tail counts those.
func (s *sieve) read(ctx context.Context, path string, o logs.Options, each func(logs.Entry) error) error {
	last := newTail(o.Tail)
	out := each
	if o.Tail >= 0 {
		o.Tail, out = -1, last.add
	}
	for _, x := range s.sides {
		x.parts, x.line = nil, nil // a reading that goes on behind the last line let through has them again
	}
	if err := logs.Read(ctx, path, o, func(e logs.Entry) error { return s.take(e, out) }); err != nil {
		return err
	}
	for _, x := range s.sides {
		if err := s.judge(x, true, out); err != nil {
			return err
		}
	}
	return last.each(each)
}

// silent says that lines were judged by a level which none of them tells.
func (s *sieve) silent() bool {
	return s.choice.level != severity.None && s.lines > 0 && s.told == 0
}

// take gives an entry to the sieve, which lets it through to out at once, later or never.
func (s *sieve) take(e logs.Entry, out func(logs.Entry) error) error {
	x := s.sides[e.Stream]
	if x == nil {
		x = &side{}
		s.sides[e.Stream] = x
	}
	if x.kept {
		x.kept = e.Partial
		return out(e)
	}
	if len(x.parts) == 0 && !e.Partial {
		if !s.lets(x, e.Line, e.Time) {
			return nil
		}
		return out(e)
	}
	x.line = append(x.line, e.Line...)
	e.Line = bytes.Clone(e.Line)
	x.parts = append(x.parts, e)
	if e.Partial && len(x.line) < longestLine {
		return nil
	}
	return s.judge(x, e.Partial, out)
}

// judge lets the parts of x's line through, or not; more says that others of the line may follow.
func (s *sieve) judge(x *side, more bool, out func(logs.Entry) error) error {
	parts, line := x.parts, x.line
	x.parts, x.line = nil, nil
	if len(parts) == 0 || !s.lets(x, line, parts[0].Time) {
		return nil
	}
	x.kept = more
	for _, e := range parts {
		if err := out(e); err != nil {
			return err
		}
	}
	return nil
}

// lets says whether a line is one of the chosen.
func (s *sieve) lets(x *side, line []byte, at time.Time) bool {
	s.lines++
	if least := s.choice.level; least != severity.None {
		if l := severity.Of(line); l != severity.None {
			s.told++
			x.level, x.at = l, at
		} else if since := at.Sub(x.at); since < 0 || since > belongs {
			x.level = severity.None
		}
		if x.level < least {
			return false
		}
	}
	return s.choice.grep == nil || s.choice.grep.Match(line)
}

// tail is the last entries of those that are added to it.
type tail struct {
	most    int
	entries []logs.Entry // a ring when it is full
	next    int
}

func newTail(most int) *tail { return &tail{most: most} }

// add copies e.
func (t *tail) add(e logs.Entry) error {
	if t.most == 0 {
		return nil
	}
	e.Line = bytes.Clone(e.Line)
	if len(t.entries) < t.most {
		t.entries = append(t.entries, e)
		return nil
	}
	t.entries[t.next] = e
	t.next = (t.next + 1) % t.most
	return nil
}

// each calls f with them in their order.
func (t *tail) each(f func(logs.Entry) error) error {
	for i := range t.entries {
		if err := f(t.entries[(t.next+i)%len(t.entries)]); err != nil {
			return err
		}
	}
	return nil
}
