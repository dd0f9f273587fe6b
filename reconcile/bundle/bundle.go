package bundle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/basespec"
	"github.com/stackrun/stack/spec/units"
)

// New translates in, but for what Connect adds at a start. warnings are what was asked for and has no effect here, one
// sentence each.
func New(in Input) (_ runtime.Config, warnings []string, _ error) {
	s := &in.Spec
	out := basespec.New()
	hostname := hostnameOf(&in)
	args, err := Args(s, &in.Image)
	if err != nil {
		return runtime.Config{}, nil, err
	}
	p := out.Process
	p.Args, p.Env, p.Terminal = args, environment(s, &in.Image, hostname), s.TTY
	for _, kv := range in.Env {
		p.Env = set(p.Env, kv)
	}
	if s.TTY && in.Rows != 0 && in.Cols != 0 {
		p.ConsoleSize = &specs.Box{Height: uint(in.Rows), Width: uint(in.Cols)}
	}
	p.Cwd = firstOf(s.WorkingDir, in.Image.WorkingDir, "/")
	p.User.Username = firstOf(s.User, in.Image.User)
	if s.OOMScoreAdj != 0 {
		p.OOMScoreAdj = &s.OOMScoreAdj
	}
	out.Root = &specs.Root{Path: "rootfs", Readonly: s.ReadOnly}
	out.Hostname, out.Domainname = hostname, s.Domainname
	out.Annotations = maps.Clone(s.Annotations)

	setRlimits(p, s.Ulimits)
	setResources(out, s)
	setSysctls(out, s)
	if err := setIsolation(out, s); err != nil {
		return runtime.Config{}, nil, err
	}
	if warnings, err = setSecurity(out, s, in); err != nil {
		return runtime.Config{}, nil, err
	}
	setShm(out, s.ShmSize)
	setDevices(out, in.Devices, s.Privileged)
	if err := setDeviceRules(out, s.DeviceRules); err != nil {
		return runtime.Config{}, nil, err
	}
	out.Linux.Resources.BlockIO = in.BlockIO
	if s.CgroupParent != "" {
		out.Linux.CgroupsPath = strings.TrimSuffix(s.CgroupParent, "/") + "/" + in.ID
	}

	logs, err := logConfig(s.Logging, in.LogPath)
	if err != nil {
		return runtime.Config{}, nil, err
	}
	cfg := runtime.Config{
		ID: in.ID, Spec: out, Root: in.Root, Mounts: slices.Clone(in.Mounts), Groups: slices.Concat(s.GroupAdd, in.Groups),
		Init: s.Init, StdinOpen: s.StdinOpen, Log: logs,
		StopSignal: firstOf(s.StopSignal, in.Image.StopSignal), CreatedAt: in.CreatedAt,
		Labels: labels(in), Facts: facts(in),
	}
	switch {
	case s.StopGrace == nil:
	case *s.StopGrace <= 0:
		cfg.StopGrace = time.Nanosecond // 0 means the default there; at once is meant here
	default:
		cfg.StopGrace = *s.StopGrace
	}
	return cfg, warnings, nil
}

// labels of a container: the image's, the file's, then the tool's own.
//
// One that belongs to no file has none here, whatever its client has said: by its labels a container is a project's. They are among its traits.
func labels(in Input) map[string]string {
	l := map[string]string{}
	if in.Standalone != nil {
		return l
	}
	for _, theirs := range []map[string]string{in.Image.Labels, in.Spec.Labels} {
		for k, v := range theirs {
			if !strings.HasPrefix(k, label.Reserved) {
				l[k] = v
			}
		}
	}
	maps.Copy(l, in.Labels)
	l[label.Project], l[label.Service], l[label.Number] = in.Project, in.Service, strconv.Itoa(in.Number)
	l[label.OneOff] = "False"
	if in.OneOff {
		l[label.OneOff], l[label.Slug] = "True", in.Slug
	}
	if in.StepOf != "" {
		l[label.Hook] = "pre_start"
	}
	l[label.Hash], l[label.Image], l[label.Version] = plan.Hash(plan.Encode(in.Spec)), in.ImageID, label.ComposeVersion
	return l
}

// facts are what the loop reads back of a container.
func facts(in Input) map[string]string {
	f := map[string]string{FactName: in.Name, FactWant: plan.Encode(in.Spec)}
	if in.OneOff && in.Remove {
		f[FactRemove] = "true"
	}
	if in.OneOff && in.Aliases {
		f[FactAliases] = "true"
	}
	if in.Standalone != nil {
		raw, _ := json.Marshal(in.Standalone) // strings and flags
		f[FactTraits], f[FactImage] = string(raw), in.ImageID
	}
	if in.Succeeds != "" {
		f[FactSucceeds] = in.Succeeds
	}
	if in.StepOf != "" {
		f[FactStepOf] = in.StepOf
	}
	if len(in.Anonymous) > 0 {
		raw, _ := json.Marshal(in.Anonymous) // a map of strings
		f[FactAnonymous] = string(raw)
	}
	if len(in.Mounted) > 0 {
		raw, _ := json.Marshal(in.Mounted) // a map of strings
		f[FactMounted] = string(raw)
	}
	if h := healthCheck(in.Spec.HealthCheck, in.Image.Healthcheck); h != nil {
		raw, _ := json.Marshal(h) // strings and numbers
		f[FactHealth] = string(raw)
	}
	if ports := Exposed(&in.Spec, &in.Image); len(ports) > 0 {
		f[FactExposed] = strings.Join(ports, ",")
	}
	return f
}

// Exposed are the ports that image and file say the container listens on, as "80/tcp" or "80-89/tcp", sorted.
func Exposed(s *plan.Spec, image *v1.Config) []string {
	var all []string
	for _, p := range slices.Concat(slices.Collect(maps.Keys(image.ExposedPorts)), s.Expose) {
		if !strings.Contains(p, "/") {
			p += "/tcp"
		}
		all = append(all, p)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// logConfig is how the log of a container is kept. A driver that sends it keeps it too, as docker does for logs, within docker's bounds; one that is not here is refused by name: a log that goes
// nowhere would be missed when it is needed. The loader has warned of options without a meaning here.
func logConfig(l plan.Logging, path string) (runtime.LogConfig, error) {
	cfg := runtime.LogConfig{Path: path}
	size, files := "max-size", "max-file"
	switch {
	case l.Driver == "none":
		return runtime.LogConfig{}, nil
	case l.Driver == "" || l.Driver == "json-file": // which keeps everything
	case l.Driver == "local":
		cfg.MaxSize, cfg.MaxFiles = 20<<20, 5
	case logdriver.Sends(l.Driver):
		cfg.MaxSize, cfg.MaxFiles = 20<<20, 5
		size, files = "cache-max-size", "cache-max-file"
		for _, f := range logdriver.Check(l.Driver, l.Options) {
			if !f.Idle {
				return cfg, errdefs.With(errdefs.ErrInvalidArgument, f)
			}
		}
	default:
		return runtime.LogConfig{}, fmt.Errorf("cannot log with driver %q: this platform has %s: %w", l.Driver, strings.Join(append([]string{"json-file", "local", "none"}, logdriver.Names()...), ", "), errdefs.ErrNotSupported)
	}
	if v := l.Options[size]; v != "" && v != "-1" {
		n, err := units.Bytes(v)
		if err != nil || n <= 0 {
			return cfg, fmt.Errorf("cannot use logging option %s %q: expected a size such as 10m: %w", size, v, errdefs.ErrInvalidArgument)
		}
		cfg.MaxSize = n
	}
	if v := l.Options[files]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return cfg, fmt.Errorf("cannot use logging option %s %q: expected a number from 1: %w", files, v, errdefs.ErrInvalidArgument)
		}
		cfg.MaxFiles = n
	}
	return cfg, nil
}
