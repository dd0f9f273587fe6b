package images

import (
	"fmt"
	"maps"
	"slices"

	"github.com/moby/moby/api/types/jsonstream"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile"
)

// maxHeld bounds what is held of stages whose turn has not come, in bytes. Beyond it they are told as it comes.
const maxHeld = 1 << 20

// building tells of a build in the words of docker's classic builder, and in its order: one stage after the other, as the file has them. Here stages are built side by side; what one
// says before its turn is held. tell is called by one goroutine at a time.
type building struct {
	out   *wire.Progress
	quiet bool
	begun bool

	turn  int            // the number, in the whole file, of the first step of the stage whose turn it is
	first map[string]int // the same of the stages that have begun
	held  map[string][]reconcile.BuildProgress
	bytes int             // of held
	loose bool            // nothing is held any more
	shown map[string]bool // steps whose line was written
}

func newBuilding(out *wire.Progress, quiet bool) *building {
	return &building{out: out, quiet: quiet, turn: 1, first: map[string]int{}, held: map[string][]reconcile.BuildProgress{}, shown: map[string]bool{}}
}

func (l *building) stream(text string) {
	l.out.Send(jsonstream.Message{Stream: text}) //nolint:errcheck // the peer is gone: the request's context ends the build
}

func (l *building) tell(p reconcile.BuildProgress) {
	l.begun = true
	if p.At > 0 && p.Step == 1 {
		l.first[p.Stage] = p.At
	}
	if !l.loose && p.Steps > 0 && l.first[p.Stage] > l.turn {
		l.hold(p)
		return
	}
	l.say(p)
	for over := l.ends(p); over; {
		over = false
		for _, next := range l.take() {
			l.say(next)
			over = l.ends(next) || over
		}
	}
}

// hold keeps p until it is its stage's turn.
func (l *building) hold(p reconcile.BuildProgress) {
	p.Output = slices.Clone(p.Output) // it is the builder's
	l.held[p.Stage] = append(l.held[p.Stage], p)
	if l.bytes += len(p.Output) + len(p.Text); l.bytes > maxHeld {
		l.release()
	}
}

// ends says whether p is the end of the stage whose turn it is. It is the next one's turn then.
func (l *building) ends(p reconcile.BuildProgress) bool {
	if p.At < l.turn || p.Step != p.Steps || p.Phase != reconcile.BuildDone && p.Phase != reconcile.BuildCached {
		return false
	}
	l.turn = p.At + 1
	return true
}

// take is what is held of the stage whose turn it is.
func (l *building) take() []reconcile.BuildProgress {
	for stage, first := range l.first {
		if first == l.turn {
			list := l.held[stage]
			delete(l.held, stage)
			return list
		}
	}
	return nil
}

// release says what is held, and nothing is held from then on: the build is over, or there is too much of it.
func (l *building) release() {
	l.loose = true
	for _, stage := range slices.SortedFunc(maps.Keys(l.held), func(a, b string) int { return l.first[a] - l.first[b] }) {
		for _, p := range l.held[stage] {
			l.say(p)
		}
	}
	clear(l.held)
}

func (l *building) say(p reconcile.BuildProgress) {
	switch {
	case p.Phase == reconcile.BuildWarning:
		l.stream("[Warning] " + p.Text + "\n")
		return
	case l.quiet:
		return
	case p.Steps > 0:
		l.line(p)
	}
	switch p.Phase {
	case reconcile.BuildOutput:
		l.stream(string(p.Output))
	case reconcile.BuildCached:
		if p.Steps > 0 {
			l.stream(" ---> Using cache\n")
		}
	}
}

// line writes the line of p's step, once. docker does not number what an ONBUILD asks for.
func (l *building) line(p reconcile.BuildProgress) {
	key := fmt.Sprintf("%s %d", p.Stage, p.Step)
	switch {
	case l.shown[key]:
	case p.At == 0:
		l.stream("# Executing build trigger : " + p.Text + "\n")
	default:
		l.stream(fmt.Sprintf("Step %d/%d : %s\n", p.At, p.Of, p.Text))
	}
	l.shown[key] = true
}
