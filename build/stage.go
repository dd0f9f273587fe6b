package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/objectid"
)

// stage carries out s.
func (j *job) stage(ctx context.Context, cancel context.CancelCauseFunc, s *stage) (*state, error) {
	st, err := j.begin(ctx, s)
	if err != nil {
		var placed *Error
		if errors.As(err, &placed) || ctx.Err() != nil {
			return nil, err
		}
		return nil, &Error{File: j.l.file.name, Line: lineOf(s.inst.Location), Instruction: oneLine(s.inst.SourceCode), Err: err}
	}
	w := &worker{job: j, stage: s, state: st, words: newExpander(j.l.file.escape)}
	commands := s.inst.Commands
	ofBase := 0
	if triggers := st.conf.Config.OnBuild; len(triggers) > 0 {
		st.conf.Config.OnBuild = nil
		more, err := j.triggers(ctx, cancel, s, triggers)
		if err != nil {
			return nil, err
		}
		commands, ofBase = append(more, commands...), len(more)
	}
	w.steps = len(commands) + 1
	for i, c := range commands {
		w.step, w.own = i+2, 0 // the first one is FROM
		if i >= ofBase {
			w.own = w.step - ofBase
		}
		if err := w.do(ctx, c); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if i < ofBase {
				return nil, &Error{File: j.l.file.name, Line: lineOf(s.inst.Location), Instruction: "ONBUILD " + source(c), Err: err}
			}
			return nil, j.l.file.at(c, err)
		}
	}
	return w.state, nil
}

// progress is of step, of so many, of s; of its own instructions it is number own, which is 0 where an ONBUILD asks for it.
func (j *job) progress(s *stage, step, steps, own int, text string) Progress {
	p := Progress{Step: step, Steps: steps, Stage: s.shown, Text: text}
	if s.before >= 0 && own > 0 {
		p.At, p.Of = s.before+own, j.l.steps
	}
	return p
}

// begin is the state that s begins with.
func (j *job) begin(ctx context.Context, s *stage) (*state, error) {
	began := time.Now()
	p := j.progress(s, 1, len(s.inst.Commands)+1, 1, oneLine(s.inst.SourceCode))
	var st *state
	switch {
	case s.base.stage != nil:
		before, err := j.wait(ctx, s.base.stage)
		if err != nil {
			return nil, err
		}
		st = from(before.conf)
	case s.base.image != "":
		before, err := j.base(ctx, s.base.image)
		if err != nil {
			return nil, err
		}
		st = from(before.conf)
	default:
		st = scratch(platform.Host())
		st.scope.list = st.conf.Config.Env
	}
	p.Phase, p.Took = Done, time.Since(began)
	j.tell(p)
	return st, nil
}

// triggers reads what the base wants to be done, and begins with the stages that this needs.
func (j *job) triggers(ctx context.Context, cancel context.CancelCauseFunc, s *stage, texts []string) ([]instructions.Command, error) {
	file := j.l.file
	bad := func(err error) error {
		return &Error{File: file.name, Line: lineOf(s.inst.Location), Instruction: oneLine(s.inst.SourceCode), Err: fmt.Errorf("an ONBUILD of its base: %w", err)}
	}
	d, err := parseDockerfile(file.name, []byte("FROM scratch\n"+strings.Join(texts, "\n")+"\n"))
	if err != nil {
		return nil, bad(err)
	}
	if len(d.stages) != 1 {
		return nil, bad(errors.New("it has a FROM"))
	}
	j.planMu.Lock()
	defer j.planMu.Unlock()
	scope := variables{list: slices.Clone(j.l.global.list)}
	words := newExpander(file.escape)
	for _, c := range d.stages[0].Commands {
		foresee(words, c, &scope, j.r)
		if err := j.l.check(j.r, s, c); err != nil {
			return nil, bad(err)
		}
	}
	j.startLocked(ctx, cancel)
	return d.stages[0].Commands, nil
}

// worker carries out the instructions of one stage, one after another.
type worker struct {
	*job
	stage       *stage
	state       *state
	words       *expander
	step, steps int
	own         int  // as step, of the stage's own instructions; 0 = it is none
	cmdSet      bool // this stage has a CMD
}

// do carries out c.
func (w *worker) do(ctx context.Context, c instructions.Command) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if _, ok := c.(*instructions.ArgCommand); !ok { // the words of an ARG are expanded one after another
		if err := w.expand(c); err != nil {
			return err
		}
	}
	began := time.Now()
	p := w.progress(w.stage, w.step, w.steps, w.own, source(c))
	var cached bool
	var err error
	switch c := c.(type) {
	case *instructions.ArgCommand:
		cached, err = true, w.state.argument(c, w.r.Args, &w.l.global, w.words)
	case *instructions.RunCommand:
		cached, err = w.runCommand(ctx, c, p)
	case *instructions.CopyCommand:
		cached, err = w.copyCommand(ctx, c, p)
	case *instructions.AddCommand:
		cached, err = w.addCommand(ctx, c, p)
	case *instructions.WorkdirCommand:
		cached, err = w.workdirCommand(ctx, c, p)
	default:
		var known bool
		if known, err = w.state.configure(c, w.words); !known && err == nil {
			err = fmt.Errorf("instruction %s is not known", strings.ToUpper(c.Name()))
		}
		w.afterConfigure(c)
		cached = true
	}
	p.Took = time.Since(began)
	switch lost := (*lostError)(nil); {
	case errors.As(err, &lost):
		return err // it is told what comes of that
	case err != nil:
		p.Phase = Failed
	case cached:
		p.Phase = Cached
	default:
		p.Phase = Done
	}
	w.tell(p)
	return err
}

// afterConfigure: a new entrypoint makes a command that was written for another one void.
func (w *worker) afterConfigure(c instructions.Command) {
	switch c := c.(type) {
	case *instructions.CmdCommand:
		w.cmdSet = true
	case *instructions.EntrypointCommand:
		if !w.cmdSet {
			w.state.conf.Config.Cmd = nil
		}
	case *instructions.HealthCheckCommand:
		if c.Health.StartInterval > 0 {
			w.note(fmt.Sprintf("line %d: HEALTHCHECK --start-interval has no effect: a container's health is looked at quickly until the first success anyway", lineOf(c.Location())))
		}
	}
}

// expand puts values in the place of variables in the words of c.
func (w *worker) expand(c instructions.Command) error {
	if e, ok := c.(instructions.SupportsSingleWordExpansion); ok {
		if err := e.Expand(func(word string) (string, error) { return w.words.word(word, &w.state.scope) }); err != nil {
			return err
		}
	}
	if e, ok := c.(instructions.SupportsSingleWordExpansionRaw); ok {
		return e.ExpandRaw(func(text string) (string, error) { return w.words.document(text, &w.state.scope) })
	}
	return nil
}

// layerStep finds what the step k has made before, or makes it: on a new snapshot of the stage's layers, beside which there are those of others,
// make writes, and what it has written becomes a layer. An error of make leaves nothing.
func (w *worker) layerStep(ctx context.Context, k string, p Progress, make func(ctx context.Context, key string) (keep bool, err error)) (stepRecord, bool, error) {
	if r, ok := w.cached(ctx, k); ok {
		return r, true, nil
	}
	// The same step of another stage or build is done once.
	unlock, err := w.b.busy.Lock(ctx, k)
	if err != nil {
		return stepRecord{}, false, err
	}
	defer unlock()
	if r, ok := w.cached(ctx, k); ok {
		return r, true, nil
	}
	release, err := w.slot(ctx)
	if err != nil {
		return stepRecord{}, false, err
	}
	defer release()
	if p.Text != "" {
		p.Phase = Started
		w.tell(p)
	}
	key := keyPrefix + objectid.New()
	keep, err := make(ctx, key)
	if err != nil {
		return stepRecord{}, false, errors.Join(err, w.b.opt.Images.Remove(context.WithoutCancel(ctx), key))
	}
	layer, err := w.b.opt.Images.Commit(ctx, key, w.epoch)
	if err != nil {
		return stepRecord{}, false, errors.Join(err, w.b.opt.Images.Remove(context.WithoutCancel(ctx), key))
	}
	r := stepRecord{Created: time.Now().UTC().Truncate(time.Second), Bytes: layer.Bytes}
	if !w.epoch.IsZero() {
		r.Created = w.epoch
	}
	if layer.Entries > 0 {
		r.Layer = layer.DiffID.String()
	}
	if keep {
		return r, false, w.keep(k, r)
	}
	// Its key means something else: the layer is the image's, and nobody's when there is none.
	return r, false, w.b.steps.store(objectid.New(), r)
}

// cached looks up a step, unless it is to be done anew.
func (w *worker) cached(ctx context.Context, k string) (stepRecord, bool) {
	if w.stage.noCache {
		return stepRecord{}, false
	}
	return w.known(ctx, k)
}
