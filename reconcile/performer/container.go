package performer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/volume"
)

// createContainer makes a container. rolling: it is part of a rolling update, which takes back itself what it has made.
func (p *Performer) createContainer(ctx context.Context, op plan.CreateContainer, rolling bool) error {
	s := p.Want.Services[op.Service]
	return p.told(plan.KindContainer, op.Name, op.Service, "Creating", "Created", func() error {
		d := lifecycle.Draft{Service: s, Spec: s.Spec, Number: op.Replica, Name: op.Name, Anonymous: op.Anonymous}
		var id string
		var err error
		if op.Succeeds != "" {
			if d.Succeeds, err = inventory.ByID(ctx, p.kit.drivers, op.Succeeds); errors.Is(err, errdefs.ErrNotFound) && !rolling {
				err = nil // gone meanwhile, by its own end
			}
		}
		if err == nil {
			absent := lifecycle.AbsentSources(s.Spec.Mounts)
			id, err = p.Create(ctx, d)
			p.noteDirectories(op.Service, absent)
		}
		if err != nil {
			return p.at(p.startPlace(op.Service, err), fmt.Errorf("cannot create container %s: %w", op.Name, err))
		}
		p.mu.Lock()
		p.made[plan.Container(op.Service, op.Replica)], p.ids[op.Name] = id, id
		if d.Succeeds != nil && !rolling {
			p.successors[d.Succeeds.ID] = id
		}
		p.mu.Unlock()
		return p.kit.interim.DropAnonymous(p.Want.Project, plan.Container(op.Service, op.Replica))
	})
}

// reserveStart makes certain that a container that is about to be stopped can be started again.
func (p *Performer) reserveStart(ctx context.Context, op plan.ReserveStart) error {
	err := p.kit.keep.Reserve(ctx, op.ContainerID)
	if err == nil || errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	at := p.startPlace(op.Service, err)
	err = fmt.Errorf("cannot restart container %s, which runs on: %w", op.Name, wording.Cause(err, op.ContainerID, op.Name))
	p.say(plan.KindContainer, op.Name, op.Service, event.Failed, "Error", err.Error())
	return p.at(at, err)
}

func (p *Performer) startContainer(ctx context.Context, op plan.StartContainer, replica plan.ID) error {
	p.mu.Lock()
	id := p.idOf(op)
	p.ids[op.Name] = id
	p.mu.Unlock()
	p.say(plan.KindContainer, op.Name, op.Service, event.Working, "Starting", "")
	if err := p.kit.keep.StartBeside(ctx, id, op.Beside, p.sink); err != nil {
		var hook *lifecycle.HookError
		if errors.As(err, &hook) { // the container runs
			p.runs(replica, id)
		}
		p.say(plan.KindContainer, op.Name, op.Service, event.Failed, "Error", err.Error())
		return p.at(p.startPlace(op.Service, err), fmt.Errorf("cannot start container %s: %w%s", op.Name, err, p.sourceMade(op.Service, err)))
	}
	p.runs(replica, id)
	p.say(plan.KindContainer, op.Name, op.Service, event.Done, "Started", "")
	return nil
}

// runs notes that container id, which is replica, has started.
func (p *Performer) runs(replica plan.ID, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran, p.settled[replica], p.started[id] = true, true, replica
}

// Started are the containers, by id, that this pass has started.
func (p *Performer) Started() map[string]plan.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.started)
}

// NoteRun says that something of this pass is about to run: data may be written from now on, and nothing is undone.
func (p *Performer) NoteRun() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran = true
}

func (p *Performer) settle(replica plan.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled[replica] = true
}

// Settled says whether nobody owes the start of a container any more that this pass was to start: it did start, whatever has become of it since, or a step that
// comes before that has failed, which is for whoever has asked to see, and not to be tried behind their back.
func (p *Performer) Settled(replica plan.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settled[replica]
}

// sourceMade is a line more for err, where what could not be mounted was not there before: "" = that is not it.
func (p *Performer) sourceMade(service string, err error) string {
	var start *runtime.StartError
	s := p.Want.Services[service]
	if s == nil || !errors.As(err, &start) || start.Failure.Stage != "volume" {
		return ""
	}
	i := mountNamed(s.Spec.Mounts, err.Error())
	if i < 0 || !p.hasMade(s.Spec.Mounts[i]) {
		return ""
	}
	return fmt.Sprintf("\n  there was nothing at %s on this host, so that an empty directory was made: is the path right?", s.Spec.Mounts[i].Source)
}

// stageKeys are the keys of a service that a stage of a start is about, likeliest first.
var stageKeys = map[string][]string{
	"exec": {"entrypoint", "command"}, "user": {"user", "group_add"}, "working directory": {"working_dir"}, "rlimit": {"ulimits"}, "device": {"devices"}, "sysctl": {"sysctls"}, "volume": {"volumes", "tmpfs"},
}

// startPlace is where in the file what has failed is written.
func (p *Performer) startPlace(service string, err error) spec.Path {
	at := "services." + service
	var hook *lifecycle.HookError
	if errors.As(err, &hook) {
		return spec.Path(at + "." + hook.Key)
	}
	if p.project == nil {
		return spec.Path(at)
	}
	var start *runtime.StartError
	began := errors.As(err, &start)
	if !began || start.Failure.Stage == "volume" {
		mounts := p.mounts(service)
		if i := mountNamed(mounts, err.Error()); i >= 0 {
			return p.mountPlace(mounts[i], fmt.Sprintf("%s.volumes[%d]", at, i))
		}
	}
	if !began {
		return spec.Path(at)
	}
	if s := p.project.Services[service]; s != nil && start.Failure.Stage == "user" {
		for i, group := range s.GroupAdd {
			if path := fmt.Sprintf("%s.group_add[%d]", at, i); strings.Contains(err.Error(), "no group "+strconv.Quote(group)) && position.Has(p.project, path) {
				return spec.Path(path)
			}
		}
	}
	for _, key := range stageKeys[start.Failure.Stage] {
		key = at + "." + key
		for _, path := range []string{key, key + "[0]"} { // a list has the place of its first item
			if position.Has(p.project, path) {
				return spec.Path(path)
			}
		}
		for path := range p.project.Sources { // a map: the entry that the error names
			if entry, ok := strings.CutPrefix(string(path), key+"."); ok && strings.Contains(start.Failure.Path, entry) {
				return path
			}
		}
	}
	return spec.Path(at)
}

// mounts are what the file has service mount, in its order. A command that goes by no file, as a start, wants no services: the file of the last up has them then.
func (p *Performer) mounts(service string) []plan.Mount {
	if s := p.Want.Services[service]; s != nil {
		return s.Spec.Mounts
	}
	s := p.project.Services[service]
	if s == nil {
		return nil
	}
	all := make([]plan.Mount, 0, len(s.Mounts))
	for _, m := range s.Mounts {
		all = append(all, plan.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Subpath: m.Subpath})
	}
	return all
}

// mountPlace is where the file says what is the matter with m, the entry at: of a volume that is a file system, there.
func (p *Performer) mountPlace(m plan.Mount, at string) spec.Path {
	if w, ok := p.Want.Volumes[m.Source]; ok && m.Type == "volume" && !w.External && volume.Apart(bundle.Volume(p.Want.Project, w)) && m.Subpath == "" {
		return spec.Path("volumes." + w.Key + ".driver_opts")
	}
	return spec.Path(at)
}

// mountNamed is the mount whose target text, of a fault, names: of several the longest. -1: none.
func mountNamed(mounts []plan.Mount, text string) int {
	found := -1
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == ':' || r == ';' || r == '"' }) {
		for i, m := range mounts {
			if m.Target == word && (found < 0 || len(word) > len(mounts[found].Target)) {
				found = i
			}
		}
	}
	return found
}

func (p *Performer) deleteContainer(ctx context.Context, op plan.DeleteContainer) error {
	id := plan.Container(op.Service, op.Replica)
	c, err := p.kit.keep.AtRest(ctx, op.ContainerID, nil, p.sink)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Name = op.Name // in this pass
	if op.KeepAnonymous && len(c.Anonymous) > 0 {
		// Before the container goes: it is the only one who knows them.
		if err := p.kit.interim.KeepAnonymous(p.Want.Project, id, c.Anonymous); err != nil {
			return err
		}
	}
	p.takenAway(op.ContainerID)
	return p.kit.keep.Remove(ctx, c, op.Volumes, p.sink)
}

// takenAway notes that containers of these ids are no more.
func (p *Performer) takenAway(ids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone == nil {
		p.gone = map[string]bool{}
	}
	for _, id := range ids {
		p.gone[id] = true
	}
}

// Create makes the container that d says, of this pass.
func (p *Performer) Create(ctx context.Context, d lifecycle.Draft) (id string, err error) {
	d.Project, d.File, d.Sink, d.Quiet = p.Want.Project, p.project, p.sink, p.Quiet
	return p.kit.keep.Create(ctx, d)
}
