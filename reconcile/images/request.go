package images

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/grant"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
)

// request is how the image of s, a service of p that has a build, is made, in the builder's words. built gives the images that other
// services of p build. Errors have their place in the file.
func (im *Images) request(ctx context.Context, p *spec.Project, s *spec.Service, o ask.BuildOptions, built func(service string) (v1.Hash, error)) (build.Request, error) {
	b := s.Build
	r := build.Request{
		Inline: b.DockerfileInline, Target: b.Target, NoCache: b.NoCache || o.NoCache, NoCacheFilter: slices.Clone(b.NoCacheFilter), Pull: b.Pull || o.Pull, Offline: o.Offline,
		Network: b.Network, ShmSize: b.ShmSize, Privileged: b.Privileged, Args: map[string]string{}, Labels: buildLabels(p, s),
		Tags: append([]string{p.ImageOf(s)}, b.Tags...),
	}
	for name, value := range b.Args {
		if value != nil {
			r.Args[name] = *value
		}
	}
	maps.Copy(r.Args, o.Args)
	at := "services." + s.Name + ".build"
	invalid := func(key, format string, args ...any) error {
		return position.At(p, spec.Path(position.Written(p, at+key, at)), errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot build the image of service %s: %w", s.Name, fmt.Errorf(format, args...))))
	}
	var err error
	if r.Context, err = directory(b.Context); err != nil {
		return r, invalid(".context", "%w", err)
	}
	if r.Inline == "" {
		if r.Dockerfile = b.Dockerfile; !filepath.IsAbs(r.Dockerfile) {
			r.Dockerfile = filepath.Join(r.Context, r.Dockerfile)
		}
		if info, err := os.Stat(r.Dockerfile); err != nil {
			return r, invalid(".dockerfile", "its Dockerfile: %w", err)
		} else if info.IsDir() {
			return r, invalid(".dockerfile", "its Dockerfile %s is a directory", r.Dockerfile)
		}
	}
	if r.Contexts, err = buildContexts(b, built); err != nil {
		return r, invalid(".additional_contexts", "%w", err)
	}
	if r.Platform, err = buildPlatform(s); err != nil {
		return r, invalid(".platforms", "%w", err)
	}
	switch r.Network {
	case "", "default", "none", "host":
	default:
		return r, invalid(".network", "its network is %q: a build has default, none or host", r.Network)
	}
	for _, h := range b.ExtraHosts {
		if h.Address == "host-gateway" && r.Network != "host" {
			return r, invalid(".extra_hosts", "host-gateway is not known to builds; write the address of the host, or network: host")
		}
	}
	hosts := make([]plan.HostEntry, len(b.ExtraHosts))
	for i, h := range b.ExtraHosts {
		hosts[i] = plan.HostEntry{Host: h.Host, Address: h.Address}
	}
	if r.ExtraHosts, err = grant.Hosts(ctx, im.drivers.Networks, hosts, nil); err != nil {
		return r, invalid(".extra_hosts", "%w", err)
	}
	if r.CacheFrom, err = caches(p, b.CacheFrom, buildcache.From); err != nil {
		return r, invalid(".cache_from", "%w", err)
	}
	if r.CacheTo, err = caches(p, b.CacheTo, buildcache.To); err != nil {
		return r, invalid(".cache_to", "%w", err)
	}
	for i, use := range b.Secrets {
		secret, err := buildSecret(p, use)
		if err != nil {
			return r, invalid(fmt.Sprintf(".secrets[%d]", i), "%w", err)
		}
		r.Secrets = append(r.Secrets, secret)
	}
	for _, key := range b.SSH {
		agent, err := buildAgent(key)
		if err != nil {
			return r, invalid(".ssh", "%w", err)
		}
		r.Agents = append(r.Agents, agent)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Ulimits)) {
		r.Ulimits = append(r.Ulimits, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name), Soft: bundle.Unbounded(b.Ulimits[name].Soft), Hard: bundle.Unbounded(b.Ulimits[name].Hard)})
	}
	return r, nil
}

// caches are the places in list, as read reads them, that have an effect. Directories are p's.
func caches(p *spec.Project, list []string, read func(string) (buildcache.Place, string, error)) ([]buildcache.Place, error) {
	var out []buildcache.Place
	for _, text := range list {
		if text == "" {
			continue
		}
		at, _, err := read(text) // what has no effect was told when the file was read
		if err != nil {
			return nil, err
		}
		if at.Type != "" {
			out = append(out, at.Below(p.Dir))
		}
	}
	return out, nil
}

// directory says whether path can be the sources of a build. What is remote has been fetched by whoever sent the project.
func directory(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("its context %s is no directory of this host", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("its context: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("its context %s is not a directory", path)
	}
	return path, nil
}

func buildContexts(b *spec.Build, built func(service string) (v1.Hash, error)) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(b.AdditionalContexts)) {
		context := b.AdditionalContexts[name]
		if service, ok := strings.CutPrefix(context, desire.ServiceContext); ok {
			id, err := built(service)
			if err != nil {
				return nil, fmt.Errorf("its context %s, the image of service %s: %w", name, service, err)
			}
			out[name] = "docker-image://" + id.String()
			continue
		}
		if strings.HasPrefix(context, "docker-image://") {
			out[name] = context
			continue
		}
		dir, err := directory(context)
		if err != nil {
			return nil, fmt.Errorf("%s of additional_contexts: %w", name, err)
		}
		out[name] = dir
	}
	return out, nil
}

// buildPlatform is what the image of s is built for: as with docker compose's up, one platform, the service's if that is said. Zero = this host's.
func buildPlatform(s *spec.Service) (v1.Platform, error) {
	if s.Platform != "" || len(s.Build.Platforms) == 0 {
		return inventory.Platform(s.Platform)
	}
	var all []string
	for _, text := range s.Build.Platforms {
		pl, err := inventory.Platform(text)
		if err != nil {
			return pl, err
		}
		if len(s.Build.Platforms) == 1 {
			return pl, nil
		}
		if pl.OS == "linux" && pl.Architecture == goruntime.GOARCH {
			return v1.Platform{}, nil
		}
		all = append(all, text)
	}
	return v1.Platform{}, fmt.Errorf("its platforms are %s and this host is linux/%s: %w", strings.Join(all, ", "), goruntime.GOARCH, errdefs.ErrNotSupported)
}

// buildLabels are the labels of an image: those of the file, and the ones by which docker compose and other tools find it.
func buildLabels(p *spec.Project, s *spec.Service) map[string]string {
	labels := maps.Clone(s.Build.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[label.Project], labels[label.Service], labels[label.Version] = p.Name, s.Name, label.ComposeVersion
	return labels
}

// buildAgent is the agent at the socket that key names; whoever sent the project has filled in the one of their environment.
func buildAgent(key spec.SSHKey) (build.Agent, error) {
	if key.Path == "" {
		return build.Agent{}, fmt.Errorf("SSH agent %s: the command had no SSH_AUTH_SOCK: start an agent, or write %s=SOCKET", key.ID, key.ID)
	}
	info, err := os.Stat(key.Path)
	if err != nil {
		return build.Agent{}, fmt.Errorf("SSH agent %s: %w", key.ID, err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return build.Agent{}, fmt.Errorf("SSH agent %s: %s is no socket of an agent, and keys are not read: load it into one with ssh-add", key.ID, key.Path)
	}
	return build.Agent{ID: key.ID, Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", key.Path)
	}}, nil
}

func buildSecret(p *spec.Project, use spec.FileUse) (build.Secret, error) {
	out := build.Secret{ID: use.Target}
	if out.ID == "" {
		out.ID = use.Source
	}
	o := p.Secrets[use.Source]
	switch {
	case o == nil:
		return out, fmt.Errorf("secret %s is not in the file", use.Source)
	case o.External:
		return out, fmt.Errorf("secret %s is external, and this platform has no store of secrets", use.Source)
	case o.File != "":
		if _, err := os.Stat(o.File); err != nil {
			return out, fmt.Errorf("secret %s: %w", use.Source, err)
		}
		out.Source = o.File
	case o.Environment != "" && o.Content == nil:
		return out, fmt.Errorf("secret %s takes its content from the variable %s, which is not set", use.Source, o.Environment)
	default:
		out.Value = o.Content
	}
	for _, id := range []struct {
		key, text string
		into      **int
	}{{"uid", use.UID, &out.UID}, {"gid", use.GID, &out.GID}} {
		if id.text == "" {
			continue
		}
		n, err := strconv.Atoi(id.text)
		if err != nil || n < 0 {
			return out, fmt.Errorf("%s %q of secret %s is not a number", id.key, id.text, use.Source)
		}
		*id.into = &n
	}
	if use.Mode != nil {
		mode := os.FileMode(*use.Mode) & os.ModePerm
		out.Mode = &mode
	}
	return out, nil
}

// awaited says whether b is still to be given something by whoever asks for more than a plan: sources that are to be fetched, or the SSH agent of their environment.
func awaited(b *spec.Build) bool {
	if slices.ContainsFunc(b.SSH, func(k spec.SSHKey) bool { return k.Path == "" }) {
		return true
	}
	for _, context := range b.AdditionalContexts {
		if spec.IsRemote(context) && !strings.HasPrefix(context, "docker-image://") {
			return true
		}
	}
	return spec.IsRemote(b.Context)
}

// Check says whether the build of s, a service of p, can begin: that its sources, Dockerfile and secrets are there. One that is still to be given
// something is not looked at, by whoever asks for more than a plan it will be. Errors have their place in the file.
func (im *Images) Check(ctx context.Context, p *spec.Project, s *spec.Service) error {
	if awaited(s.Build) {
		return nil
	}
	_, err := im.request(ctx, p, s, ask.BuildOptions{}, func(string) (v1.Hash, error) { return v1.Hash{}, nil })
	return err
}
