package reconcile

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/grant"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime/mount"
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
	anonymous map[string]string    // handed over
	succeeds  *inventory.Container // that a rolling update replaces by it
	step      *inventory.StepOf    // of a one-off that is one
	log       string               // of a step
	id        string               // "" = a new one
	image     string               // id of its image, "" = what spec names

	alone *standalone.Traits // of a container that belongs to no file, see bundle.Input

	rows, cols uint16 // of its terminal
}

func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand, Go 1.24
	return hex.EncodeToString(b[:])
}

// create makes the container that d says, or nothing: what it made is taken away when it cannot finish. A crash in
// its middle leaves a snapshot without a container, which adopt removes, and at most an empty anonymous
// volume, which down -v removes.
func (p *performer) create(ctx context.Context, d draft) (id string, err error) {
	drivers := p.e.drivers
	info, err := inventory.Image(ctx, drivers, cmp.Or(d.image, d.spec.Image), d.spec.Platform)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", d.spec.Image, err)
	}
	if d.alone == nil {
		if err := p.e.roster.Free(d.name); err != nil {
			return "", err
		}
	}
	if id = d.id; id == "" {
		id = newID()
	}
	defer func() { err = wording.Cause(err, id, d.name) }()
	undo := cleanup.Make()
	defer undo.Clean()
	aside := context.WithoutCancel(ctx) // Ctrl-C must not keep us from tidying up

	anonymous, err := p.anonymousVolumes(ctx, id, &d, &info.Config, undo)
	if err != nil {
		return "", err
	}
	uses, err := bundle.Uses(&d.spec, anonymous, p.contents)
	if err != nil {
		return "", err
	}
	mounts, err := drivers.Volumes.Mounts(ctx, uses)
	if err != nil {
		return "", err
	}
	host, err := grant.Of(&d.spec)
	if err != nil {
		return "", err
	}
	if len(host.Vendors.Mounts) > 0 {
		mounts = under(mounts, host.Vendors.Mounts)
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
	cfg, warnings, err := bundle.New(bundle.Input{
		ID: id, Name: d.name, Project: p.want.Project, Service: d.service.Name, Number: d.number, OneOff: d.oneOff, Slug: d.slug, Remove: d.remove, Aliases: d.aliases,
		Labels: d.service.Labels, CreatedAt: time.Now(), Spec: d.spec, Image: info.Config, ImageID: info.ID.String(),
		Root: root, Mounts: mounts, Anonymous: anonymous, Mounted: mounted, Devices: append(host.Devices, host.Vendors.Devices...),
		Env: host.Vendors.Env, Groups: host.Vendors.Groups, BlockIO: host.BlockIO, Seccomp: host.Seccomp, Available: p.e.capabilities, Hostname: host.Hostname,
		LogPath: p.e.logPath(p.want.Project, id, d), Rows: d.rows, Cols: d.cols, Succeeds: d.predecessor(), StepOf: d.stepOf(), Standalone: d.alone,
	})
	if err != nil {
		return "", err
	}
	for _, w := range warnings {
		p.say(plan.KindContainer, d.name, d.service.Name, event.Warning, "Not as asked for", w)
	}
	undo.Add(func() { _ = drivers.Containers.Delete(aside, id) })
	if _, err := drivers.Containers.Create(ctx, cfg); err != nil {
		return "", err
	}
	if cfg.Log.Path != "" && d.alone == nil {
		if err := os.MkdirAll(p.e.logDir(p.want.Project), 0o700); err != nil {
			return "", fmt.Errorf("log directory: %w", err)
		}
	}
	undo.Release()
	return id, nil
}

// anonymousVolumes are the volumes of the targets that image or file want one for and neither names: what d has been handed over, else new ones.
func (p *performer) anonymousVolumes(ctx context.Context, id string, d *draft, image *v1.Config, undo *cleanup.Cleanup) (map[string]string, error) {
	volumes := p.e.drivers.Volumes
	aside := context.WithoutCancel(ctx)
	anonymous := map[string]string{}
	for _, target := range bundle.AnonymousTargets(&d.spec, image) {
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
		cfg := volume.Config{ID: name, Labels: labels, Anonymous: true}
		if d.alone != nil {
			labels[resource.LabelAnonymous] = ""
			cfg.Labels, cfg.ClientLabels = map[string]string{resource.Label: "volume"}, labels
		} else {
			labels[label.Project], labels[label.Service], labels[label.Anonymous] = p.want.Project, d.service.Name, target
		}
		if _, err := volumes.Create(ctx, cfg); err != nil {
			return nil, fmt.Errorf("anonymous volume for %s: %w", target, err)
		}
		undo.Add(func() { _ = volumes.Delete(aside, name) })
		anonymous[target] = name
	}
	return anonymous, nil
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
func (e *Engine) logPath(project, id string, d draft) string {
	if d.alone != nil {
		return e.roots.InState("containers", id, standaloneLog) // nobody else's, and goes with it
	}
	if d.step != nil {
		return d.log
	}
	if d.oneOff {
		return e.roots.InState("logs", project, d.service.Name+"-run-"+d.slug[:12]+".log")
	}
	path := e.roots.InState("logs", project, fmt.Sprintf("%s-%d.log", d.service.Name, d.number))
	if d.succeeds != nil && d.succeeds.Config != nil && d.succeeds.Config.Log.Path == path {
		return output.Beside(path)
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
	return desire.ReadObject(o)
}

// under puts vendors' mounts below the user's: whose target the file mounts something at is the file's.
func under(mounts, vendors []mount.Mount) []mount.Mount {
	for _, m := range vendors {
		if !slices.ContainsFunc(mounts, func(have mount.Mount) bool { return have.Target == m.Target }) {
			mounts = append(mounts, m)
		}
	}
	slices.SortStableFunc(mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	return mounts
}

// standaloneLog is the name of the log, in its directory, of a container that belongs to no file.
const standaloneLog = "output.log"
