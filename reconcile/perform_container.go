package reconcile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/volume"
)

// draft is a container to be made: a replica of a service, or a one-off.
type draft struct {
	service   *plan.Service
	spec      plan.Spec
	number    int
	name      string
	slug      string // one-off
	oneOff    bool
	remove    bool
	aliases   bool
	anonymous map[string]string // handed over
	succeeds  *container        // that a rolling update replaces by it
	step      *stepOf           // of a one-off that is one
	log       string            // of a step

	rows, cols uint16 // of its terminal
}

func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand, Go 1.24
	return hex.EncodeToString(b[:])
}

func (p *performer) createContainer(ctx context.Context, op plan.CreateContainer) error {
	s := p.want.Services[op.Service]
	return p.told(plan.KindContainer, op.Name, op.Service, "Creating", "Created", func() error {
		d := draft{service: s, spec: s.Spec, number: op.Replica, name: op.Name, anonymous: op.Anonymous}
		var id string
		var err error
		if op.Succeeds != "" {
			d.succeeds, err = p.e.container(ctx, op.Succeeds)
		}
		if err == nil {
			id, err = p.create(ctx, d)
		}
		if err != nil {
			return p.e.at(p.project, spec.Path("services."+op.Service), fmt.Errorf("cannot create container %s: %w", op.Name, err))
		}
		p.mu.Lock()
		p.made[plan.Container(op.Service, op.Replica)], p.ids[op.Name] = id, id
		p.mu.Unlock()
		return p.e.dropAnonymous(p.want.Project, plan.Container(op.Service, op.Replica))
	})
}

// create makes the container that d says, or nothing: what it made is taken away when it cannot finish. A crash in
// its middle leaves a snapshot without a container, which adopt removes, and at most an empty anonymous
// volume, which down -v removes.
func (p *performer) create(ctx context.Context, d draft) (id string, err error) {
	drivers := p.e.drivers
	info, err := resolve(ctx, drivers, d.spec.Image, d.spec.Platform)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", d.spec.Image, err)
	}
	id = newID()
	defer func() { err = cause(err, id, d.name) }()
	undo := cleanup.Make()
	defer undo.Clean()
	aside := context.WithoutCancel(ctx) // Ctrl-C must not keep us from tidying up

	anonymous := map[string]string{}
	for _, target := range bundle.AnonymousTargets(&d.spec, &info.Config) {
		if have := d.anonymous[target]; have != "" {
			anonymous[target] = have
			continue
		}
		name := bundle.AnonymousName(id, target)
		labels := map[string]string{}
		for _, m := range d.spec.Mounts {
			if m.Target == target {
				maps.Copy(labels, m.Labels)
			}
		}
		labels[labelProject], labels[labelService], labels[labelAnonymous] = p.want.Project, d.service.Name, target
		if _, err := drivers.Volumes.Create(ctx, volume.Config{ID: name, Labels: labels, Anonymous: true}); err != nil {
			return "", fmt.Errorf("anonymous volume for %s: %w", target, err)
		}
		undo.Add(func() { _ = drivers.Volumes.Delete(aside, name) })
		anonymous[target] = name
	}
	uses, err := bundle.Uses(&d.spec, anonymous, p.contents)
	if err != nil {
		return "", err
	}
	mounts, err := drivers.Volumes.Mounts(ctx, uses)
	if err != nil {
		return "", err
	}
	devices, err := hostDevices(&d.spec)
	if err != nil {
		return "", err
	}
	vendors, err := requestedDevices(&d.spec)
	if err != nil {
		return "", err
	}
	if len(vendors.mounts) > 0 {
		mounts = under(mounts, vendors.mounts)
	}
	blockIO, err := hostBlockIO(d.spec.Resources.BlkIO)
	if err != nil {
		return "", err
	}
	profile, err := seccompProfile(&d.spec)
	if err != nil {
		return "", err
	}
	undo.Add(func() { _ = drivers.Images.Remove(aside, id) })
	root, err := drivers.Images.Prepare(ctx, id, info.ID)
	if err != nil {
		return "", fmt.Errorf("root filesystem: %w", err)
	}
	images, mounted, err := p.views(ctx, id, &d.spec)
	if err != nil {
		return "", err
	}
	if len(images) > 0 {
		mounts = under(mounts, images)
	}
	hostname, err := hostName()
	if err != nil {
		return "", err
	}
	cfg, warnings, err := bundle.New(bundle.Input{
		ID: id, Name: d.name, Project: p.want.Project, Service: d.service.Name, Number: d.number, OneOff: d.oneOff, Slug: d.slug, Remove: d.remove, Aliases: d.aliases,
		Labels: d.service.Labels, CreatedAt: time.Now(), Spec: d.spec, Image: info.Config, ImageID: info.ID.String(),
		Root: root, Mounts: mounts, Anonymous: anonymous, Mounted: mounted, Devices: append(devices, vendors.devices...), Env: vendors.env, Groups: vendors.groups, BlockIO: blockIO, Seccomp: profile, Available: p.e.capabilities, Hostname: hostname,
		LogPath: p.e.logPath(p.want.Project, d), Rows: d.rows, Cols: d.cols, Succeeds: d.predecessor(), StepOf: d.stepOf(),
	})
	if err != nil {
		return "", err
	}
	for _, w := range warnings {
		p.say(plan.KindContainer, d.name, d.service.Name, Warning, "Not as asked for", w)
	}
	undo.Add(func() { _ = drivers.Containers.Delete(aside, id) })
	if _, err := drivers.Containers.Create(ctx, cfg); err != nil {
		return "", err
	}
	if cfg.Log.Path != "" {
		if err := os.MkdirAll(p.e.logDir(p.want.Project), 0o700); err != nil {
			return "", fmt.Errorf("log directory: %w", err)
		}
	}
	undo.Release()
	return id, nil
}

// predecessor is the id of the container that d's replaces while that is still there.
func (d *draft) predecessor() string {
	if d.succeeds == nil {
		return ""
	}
	return d.succeeds.ID
}

func (d *draft) stepOf() string {
	if d.step == nil {
		return ""
	}
	return d.step.String()
}

// logDir holds the logs of a project. It outlives its containers and goes with down.
func (e *Engine) logDir(project string) string { return e.roots.InState("logs", project) }

// logPath is the log of a replica, whichever container that is at the time.
func (e *Engine) logPath(project string, d draft) string {
	if d.step != nil {
		return d.log
	}
	if d.oneOff {
		return e.roots.InState("logs", project, d.service.Name+"-run-"+d.slug[:12]+".log")
	}
	path := e.roots.InState("logs", project, fmt.Sprintf("%s-%d.log", d.service.Name, d.number))
	if d.succeeds != nil && d.succeeds.Config != nil && d.succeeds.Config.Log.Path == path {
		return logBeside(path)
	}
	return path
}

// contents reads a config or secret. What came with the project is there; a file is read now, by the daemon.
func (p *performer) contents(kind string, f plan.File) ([]byte, error) {
	objects := p.project.Configs
	if kind == "secrets" {
		objects = p.project.Secrets
	}
	o := objects[f.Source]
	if o == nil {
		return nil, fmt.Errorf("%s %s is not in the file: %w", strings.TrimSuffix(kind, "s"), f.Source, errdefs.ErrNotFound)
	}
	if o.File == "" {
		return o.Content, nil
	}
	return readObject(o)
}

func (p *performer) startContainer(ctx context.Context, op plan.StartContainer) error {
	p.mu.Lock()
	id := p.idOf(op)
	p.ids[op.Name] = id
	p.mu.Unlock()
	p.say(plan.KindContainer, op.Name, op.Service, Working, "Starting", "")
	if err := p.e.startBeside(ctx, id, op.Beside, p.sink); err != nil {
		var hook *hookError
		if errors.As(err, &hook) { // the container runs
			p.mu.Lock()
			p.ran = true
			p.mu.Unlock()
		}
		p.say(plan.KindContainer, op.Name, op.Service, Failed, "Error", err.Error())
		return p.e.at(p.project, p.startPlace(op.Service, err), fmt.Errorf("cannot start container %s: %w", op.Name, err))
	}
	p.mu.Lock()
	p.ran = true
	p.mu.Unlock()
	p.say(plan.KindContainer, op.Name, op.Service, Done, "Started", "")
	return nil
}

// stageKeys are the keys of a service that a stage of a start is about, likeliest first.
var stageKeys = map[string][]string{
	"exec": {"entrypoint", "command"}, "user": {"user", "group_add"}, "working directory": {"working_dir"}, "rlimit": {"ulimits"}, "device": {"devices"}, "sysctl": {"sysctls"}, "volume": {"volumes", "tmpfs"},
}

// startPlace is where in the file what has failed is written.
func (p *performer) startPlace(service string, err error) spec.Path {
	at := "services." + service
	var hook *hookError
	if errors.As(err, &hook) {
		return spec.Path(at + "." + hook.key)
	}
	if p.project == nil {
		return spec.Path(at)
	}
	var start *runtime.StartError
	began := errors.As(err, &start)
	if s := p.want.Services[service]; s != nil && (!began || start.Failure.Stage == "volume") {
		if i := mountNamed(s.Spec.Mounts, err.Error()); i >= 0 {
			return p.mountPlace(s.Spec.Mounts[i], fmt.Sprintf("%s.volumes[%d]", at, i))
		}
	}
	if !began {
		return spec.Path(at)
	}
	for _, key := range stageKeys[start.Failure.Stage] {
		key = at + "." + key
		for _, path := range []string{key, key + "[0]"} { // a list has the place of its first item
			if hasPlace(p.project, path) {
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

// mountPlace is where the file says what is the matter with m, the entry at: of a volume that is a file system, there.
func (p *performer) mountPlace(m plan.Mount, at string) spec.Path {
	if w, ok := p.want.Volumes[m.Source]; ok && m.Type == "volume" && !w.External && volume.Apart(volumeConfig(p.want.Project, w)) && m.Subpath == "" {
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

func (p *performer) deleteContainer(ctx context.Context, op plan.DeleteContainer) error {
	id := plan.Container(op.Service, op.Replica)
	c, err := p.e.atRest(ctx, op.ContainerID, p.sink)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c.name = op.Name // in this pass
	if op.KeepAnonymous && len(c.anonymous) > 0 {
		// Before the container goes: it is the only one who knows them.
		if err := p.e.keepAnonymous(p.want.Project, id, c.anonymous); err != nil {
			return err
		}
	}
	return p.e.remove(ctx, c, op.Volumes, p.sink)
}

// atRest ends the supervision of a container that is to go, and what its policy has started since the plan saw it ended.
func (e *Engine) atRest(ctx context.Context, id string, sink Sink) (*container, error) {
	e.group.Stop(id)
	unlock, err := e.single.lock(ctx, id) // a restart under way holds it
	if err != nil {
		return nil, err
	}
	unlock()
	c, err := e.container(ctx, id)
	if err == nil && c.alive() {
		err = e.stop(ctx, c, nil, sink)
	}
	return c, err
}

const bucketAnonymous = "anonymous"

func anonymousKey(project string, id plan.ID) string { return project + "/" + id.String() }

// keepAnonymous remembers the anonymous volumes of a container that is being recreated, until its successor is there.
func (e *Engine) keepAnonymous(project string, id plan.ID, volumes map[string]string) error {
	raw, _ := json.Marshal(volumes) // a map of strings
	return e.store.Put(bucketAnonymous, anonymousKey(project, id), raw)
}

func (e *Engine) dropAnonymous(project string, id plan.ID) error {
	key := anonymousKey(project, id)
	if _, err := e.store.Get(bucketAnonymous, key); errors.Is(err, errdefs.ErrNotFound) {
		return nil // the usual case, and reading costs no sync
	}
	return e.store.Delete(bucketAnonymous, key)
}

func (e *Engine) keptAnonymous(project string) (map[plan.ID]map[string]string, error) {
	kept := map[plan.ID]map[string]string{}
	err := e.store.Each(bucketAnonymous, func(key string, raw []byte) error {
		rest, ok := strings.CutPrefix(key, project+"/container:")
		if !ok {
			return nil
		}
		i := strings.LastIndexByte(rest, '/')
		var number int
		volumes := map[string]string{}
		if i < 0 || json.Unmarshal(raw, &volumes) != nil {
			return nil
		}
		if _, err := fmt.Sscanf(rest[i+1:], "%d", &number); err != nil {
			return nil
		}
		kept[plan.Container(rest[:i], number)] = volumes
		return nil
	})
	return kept, err
}
