package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
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
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/volume"
)

// Draft is a container to be made: a replica of a service, or a one-off.
type Draft struct {
	Service   *plan.Service
	Spec      plan.Spec
	Number    int
	Name      string
	Named     bool   // somebody has asked for the name: no other container has it, of its project neither
	Slug      string // one-off
	OneOff    bool
	Remove    bool
	Aliases   bool
	Anonymous map[string]string    // handed over
	Succeeds  *inventory.Container // that is replaced by it, and still there
	step      *inventory.StepOf    // of a one-off that is one
	log       string               // of a step
	ID        string               // "" = a new one
	Image     string               // id of its image, "" = what spec names

	Alone *standalone.Traits // of a container that belongs to no file, see bundle.Input

	Rows, Cols uint16 // of its terminal

	Project string        // "" of a container that belongs to no file
	File    *spec.Project // whose configs and secrets it has; may be nil when it has none
	Sink    event.Sink    // is told what of it has no effect here
	Quiet   bool          // nobody is
}

// Create makes the container that d says, or nothing: what it made is taken away when it cannot finish. A crash in
// its middle leaves a snapshot without a container, and anonymous volumes that nobody has, which adopt removes.
func (k *Keeper) Create(ctx context.Context, d Draft) (_ string, err error) {
	drivers := k.drivers
	info, err := inventory.Image(ctx, drivers, cmp.Or(d.Image, d.Spec.Image), d.Spec.Platform)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", d.Spec.Image, err)
	}
	if d.Alone == nil {
		free, err := k.takeName(ctx, &d)
		if err != nil {
			return "", err
		}
		defer free()
	}
	id := d.ID
	if id == "" {
		id = objectid.New()
	}
	defer func() { err = wording.Cause(err, id, d.Name) }()
	undo := cleanup.Make()
	defer undo.Clean()
	aside := context.WithoutCancel(ctx) // Ctrl-C must not keep us from tidying up

	anonymous, note, err := k.anonymousVolumes(ctx, id, &d, &info.Config, undo)
	if err != nil {
		return "", err
	}
	uses, err := bundle.Uses(&d.Spec, anonymous, d.contents)
	if err != nil {
		return "", err
	}
	mounts, err := drivers.Volumes.Mounts(ctx, uses)
	if err != nil {
		return "", err
	}
	host, err := grant.Of(&d.Spec)
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
	images, mounted, err := k.views(ctx, id, &d.Spec)
	if err != nil {
		return "", err
	}
	if len(images) > 0 {
		mounts = under(mounts, images)
	}
	cfg, warnings, err := bundle.New(bundle.Input{
		ID: id, Name: d.Name, Project: d.Project, Service: d.Service.Name, Number: d.Number, OneOff: d.OneOff, Slug: d.Slug, Remove: d.Remove, Aliases: d.Aliases,
		Labels: d.Service.Labels, CreatedAt: time.Now(), Spec: d.Spec, Image: info.Config, ImageID: info.ID.String(),
		Root: root, Mounts: mounts, Anonymous: anonymous, Mounted: mounted, Devices: append(host.Devices, host.Vendors.Devices...),
		Env: host.Vendors.Env, Groups: host.Vendors.Groups, BlockIO: host.BlockIO, Seccomp: host.Seccomp, Available: k.capabilities, Hostname: host.Hostname,
		LogPath: k.logPath(d.Project, id, d), Rows: d.Rows, Cols: d.Cols, Succeeds: d.predecessor(), StepOf: d.stepOf(), Standalone: d.Alone,
	})
	if err != nil {
		return "", err
	}
	for _, w := range warnings {
		if !d.Quiet {
			k.hub.Say(d.Sink, event.Event{Project: d.Project, Kind: string(plan.KindContainer), Name: d.Name, Service: d.Service.Name, Phase: event.Warning, Text: "Not as asked for", Detail: w})
		}
	}
	undo.Add(func() { _ = drivers.Containers.Delete(aside, id) })
	made, err := drivers.Containers.Create(ctx, cfg)
	if err != nil {
		return "", err
	}
	if cfg.Log.Path != "" && d.Alone == nil {
		if err := os.MkdirAll(k.LogDir(d.Project), 0o700); err != nil {
			return "", fmt.Errorf("log directory: %w", err)
		}
	}
	if d.Succeeds != nil { // which is stopped for it
		if err := drivers.Containers.Reserve(ctx, id); err != nil {
			return "", err
		}
	}
	if c, ours := inventory.Read(made); ours {
		k.roster.Add(c)
	}
	undo.Release()
	note.done()
	return id, nil
}

// anonymousVolumes are the volumes of the targets that image or file want one for and neither names: what d has been handed over, else new ones. The note of these is dropped by undo, or
// by the caller when the container is on record.
func (k *Keeper) anonymousVolumes(ctx context.Context, id string, d *Draft, image *v1.Config, undo *cleanup.Cleanup) (map[string]string, *creation, error) {
	volumes := k.drivers.Volumes
	aside := context.WithoutCancel(ctx)
	anonymous, fresh := map[string]string{}, map[string]string{}
	for _, target := range bundle.AnonymousTargets(&d.Spec, image) {
		if anonymous[target] = d.Anonymous[target]; anonymous[target] == "" {
			fresh[target] = bundle.AnonymousName(id, target)
		}
	}
	note := &creation{}
	if d.Alone == nil { // who belongs to no file has it in a record of its own
		note = k.creating(id, d.Project, fresh)
	}
	undo.Add(note.done)
	for _, target := range slices.Sorted(maps.Keys(fresh)) {
		name := fresh[target]
		labels := map[string]string{}
		for _, m := range d.Spec.Mounts {
			if m.Target == target {
				maps.Copy(labels, m.Labels)
			}
		}
		cfg := volume.Config{ID: name, Labels: labels, Anonymous: true}
		if d.Alone != nil {
			labels[resource.LabelAnonymous] = ""
			cfg.Labels, cfg.ClientLabels = map[string]string{resource.Label: "volume"}, labels
		} else {
			labels[label.Project], labels[label.Service], labels[label.Anonymous] = d.Project, d.Service.Name, target
		}
		if _, err := volumes.Create(ctx, cfg); err != nil {
			note.left = true // what has come of it is not known
			return nil, nil, fmt.Errorf("anonymous volume for %s: %w", target, err)
		}
		undo.Add(func() { note.left = volumes.Delete(aside, name) != nil || note.left })
		anonymous[target] = name
	}
	return anonymous, note, nil
}

// predecessor is the id of the container that d's replaces while that is still there.
func (d *Draft) predecessor() string {
	if d.Succeeds == nil {
		return ""
	}
	return d.Succeeds.ID
}

func (d *Draft) stepOf() string {
	if d.step == nil {
		return ""
	}
	return d.step.String()
}

// LogDir holds the logs of a project. It outlives its containers and goes with down.
func (k *Keeper) LogDir(project string) string { return k.roots.InState("logs", project) }

// logPath is the log of a replica, whichever container that is at the time.
func (k *Keeper) logPath(project, id string, d Draft) string {
	if d.Alone != nil {
		return k.roots.InState("containers", id, standaloneLog) // nobody else's, and goes with it
	}
	if d.step != nil {
		return d.log
	}
	if d.OneOff {
		return k.roots.InState("logs", project, d.Service.Name+"-run-"+objectid.Short(d.Slug)+".log")
	}
	path := k.roots.InState("logs", project, fmt.Sprintf("%s-%d.log", d.Service.Name, d.Number))
	if d.Succeeds != nil && d.Succeeds.Config != nil && d.Succeeds.Config.Log.Path == path {
		return output.Beside(path)
	}
	return path
}

// contents reads a config or secret. What came with the project is there; a file is read now, by the daemon.
func (d *Draft) contents(kind string, f plan.File) ([]byte, error) {
	objects := d.File.Configs
	if kind == "secrets" {
		objects = d.File.Secrets
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
