package buildkit

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile"
)

// dockerfile is a build of one: what the frontend dockerfile.v0 is asked for.
type dockerfile struct {
	filename string            // below its directory
	local    string            // the client's directory that it is in; "" = the context's
	context  string            // the client's directory with the sources
	upload   *url.URL          // in place of context: a tar stream of the client's
	subdir   string            // of the context
	contexts map[string]string // further sources by name: local:NAME, docker-image://REF, or a link
	sessions map[string]string // by the name of a client's directory: the session that has it, when that is another one
	build    reconcile.ImageBuild
	warnings []string

	once sync.Once // of its image, for other builds
	id   string
	err  error
}

// readDockerfile reads what a frontend is asked for, and refuses by name what cannot be done.
func readDockerfile(req *message.Solve) (*dockerfile, error) {
	switch {
	case strings.HasPrefix(req.Definition.Source, "git://"), strings.HasPrefix(req.Definition.Source, "http"):
		return nil, notFetched(req.Definition.Source)
	case req.Definition.Any && req.Frontend == "":
		return nil, refused("a graph of BuildKit's operations (LLB) is not supported: a Dockerfile is")
	case req.SourcePolicy:
		return nil, refused("a source policy is not supported")
	case req.ProxyNetwork:
		return nil, refused("a network proxy for the steps is not supported")
	}
	for _, e := range req.Entitlements {
		if e != "network.host" {
			return nil, refused("--allow %s is not supported", e)
		}
	}
	d := &dockerfile{
		filename: "Dockerfile", local: "dockerfile", context: "context", contexts: map[string]string{}, sessions: map[string]string{},
		build: reconcile.ImageBuild{Args: map[string]string{}, Labels: map[string]string{}},
	}
	switch req.Frontend {
	case "dockerfile.v0":
	case "gateway.v0":
		if err := ownFrontend(req.Attrs["source"]); err != nil {
			return nil, err
		}
	default:
		return nil, refused("frontend %q is not supported: expected dockerfile.v0", req.Frontend)
	}
	for _, name := range slices.Sorted(maps.Keys(req.Attrs)) {
		if err := d.option(req, name, req.Attrs[name]); err != nil {
			return nil, err
		}
	}
	return d, d.caches(req)
}

func (d *dockerfile) warn(text string) {
	if !slices.Contains(d.warnings, text) {
		d.warnings = append(d.warnings, text)
	}
}

// ownFrontend says whether image is a release of the language of Dockerfiles, which is spoken here without it.
func ownFrontend(image string) error {
	name, _, _ := strings.Cut(strings.TrimPrefix(image, "docker.io/"), "@")
	name, _, _ = strings.Cut(name, ":")
	if name != "docker/dockerfile" && name != "docker/dockerfile-upstream" {
		return refused("frontend %q is not supported: expected docker/dockerfile", image)
	}
	return nil
}

// option takes in one attribute of the frontend.
// https://github.com/moby/buildkit/blob/v0.32.2/frontend/dockerui/config.go
func (d *dockerfile) option(req *message.Solve, name, value string) (err error) {
	b := &d.build
	if kind, rest, ok := strings.Cut(name, ":"); ok {
		return d.named(req, kind, rest, value)
	}
	switch name {
	case "source", "cmdline": // of the frontend, see ownFrontend
	case "filename":
		d.filename = value
	case "contextkey":
		d.context = value
	case "dockerfilekey":
		d.local = value
	case "context":
		return d.remote(value)
	case "contextsubdir":
		d.subdir = value
	case "target":
		b.Target = value
	case "platform":
		return d.platform(value)
	case "multi-platform":
		if on, err := strconv.ParseBool(value); err != nil || on {
			return refused("an image for several platforms is not supported: this host builds for its own")
		}
	case "no-cache":
		if b.NoCache = value == ""; !b.NoCache {
			b.NoCacheFilter = strings.Split(value, ",")
		}
	case "image-resolve-mode":
		switch value {
		case "", "default", "local":
		case "pull":
			b.Pull = true
		default:
			return invalid("image-resolve-mode=%s: expected default, local or pull", value)
		}
	case "force-network-mode":
		switch value {
		case "", "sandbox", "default":
		case "host", "none":
			b.Network = value
		default:
			return refused("--network %s is not supported: a build has default, none or host", value)
		}
	case "add-hosts":
		b.ExtraHosts, err = hosts(value)
		return err
	case "shm-size":
		if b.ShmSize, err = strconv.ParseInt(value, 10, 64); err != nil || b.ShmSize < 0 {
			return invalid("shm-size=%s: expected a number of bytes", value)
		}
	case "ulimit":
		b.Ulimits, err = ulimits(value)
		return err
	case "cache-imports", "cache-from": // see caches
	case "frontend.caps":
		for one := range strings.SplitSeq(value, ",") {
			switch one {
			case "moby.buildkit.frontend.contexts+forward", "moby.buildkit.frontend.inputs":
			case "moby.buildkit.frontend.subrequests+forward": // the request is refused, by its name
			default:
				return refused("the frontend has no %s", one)
			}
		}
	case "requestid":
		return refused("--call %s is not supported: stack builds, and says what is wrong with a Dockerfile when it does", strings.TrimPrefix(value, "frontend."))
	case "cgroup-parent":
		return refused("--cgroup-parent is not supported: builds have a control group of their own")
	default:
		return refused("%s=%s is not supported", name, value)
	}
	return nil
}

// named takes in an attribute of several words: kind:name.
func (d *dockerfile) named(req *message.Solve, kind, name, value string) error {
	switch kind {
	case "build-arg":
		switch name {
		case "BUILDKIT_SYNTAX", "BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_DOCKERFILE_CHECK", "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_BUILD_NAME":
			// They are the frontend's and no ARG's. What they ask for has come as an attribute of its own, or is about what is not here.
		default:
			d.build.Args[name] = value
		}
	case "label":
		d.build.Labels[name] = value
	case "context":
		return d.further(req, name, value)
	case "local-sessionid":
		d.sessions[name] = value
	case "attest":
		if !disabled(value) {
			return refused("--attest type=%s is not supported: stack makes no attestations", name)
		}
	case "sharedkey", "vcs", "input-metadata", "input": // what a source is shown as, or known again by
	default:
		return refused("%s:%s=%s is not supported", kind, name, value)
	}
	return nil
}

// disabled says that an attestation is asked not to be made, or only told of by who knows.
func disabled(value string) bool {
	for one := range strings.SplitSeq(value, ",") {
		if k, v, _ := strings.Cut(one, "="); k == "disabled" && v == "true" || k == "inline-only" && v == "true" {
			return true
		}
	}
	return false
}

// remote is a context that is no directory of the client's.
func (d *dockerfile) remote(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host != "buildkit-session" || u.Scheme != "http" {
		return notFetched(text)
	}
	d.upload = u
	if d.local == "dockerfile" {
		d.local = ""
	}
	return nil
}

func notFetched(url string) error {
	return refused("the context %s is not supported: the daemon fetches none. Clone or download it, or build with DOCKER_BUILDKIT=0, where docker does that", url)
}

// further is a context with a name.
func (d *dockerfile) further(req *message.Solve, name, value string) error {
	if input, ok := strings.CutPrefix(value, "input:"); ok {
		if value = req.Inputs[input].Source; value == "" {
			return refused("the context %s is a graph of operations (LLB), which is not supported: name an image with docker-image://", name)
		}
		if local, ok := strings.CutPrefix(value, "local://"); ok {
			value = "local:" + local
		}
	}
	if !strings.HasPrefix(value, "local:") && !strings.HasPrefix(value, "docker-image://") && !strings.HasPrefix(value, linkPrefix) {
		return refused("the context %s=%s is not supported: expected a directory or docker-image://", name, value)
	}
	name, _, _ = strings.Cut(name, "::") // for a platform: there is one
	d.contexts[name] = value
	return nil
}

func (d *dockerfile) platform(value string) error {
	if strings.Contains(value, ",") {
		return refused("--platform %s is not supported: this host builds for its own platform", value)
	}
	p, err := v1.ParsePlatform(value)
	if err != nil {
		return invalid("--platform %s: %w", value, err)
	}
	d.build.Platform = *p
	return nil
}

// words splits what buildx has put together as CSV.
func words(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	list, err := r.Read()
	return list, err
}

// hosts are name=address.
func hosts(text string) ([]network.HostsEntry, error) {
	all, err := words(text)
	if err != nil {
		return nil, invalid("add-hosts=%s: %w", text, err)
	}
	var list []network.HostsEntry
	for _, one := range all {
		name, address, ok := strings.Cut(one, "=")
		addr, err := netip.ParseAddr(address)
		if !ok || name == "" || err != nil {
			return nil, invalid("--add-host %s: expected NAME=ADDRESS", one)
		}
		list = append(list, network.HostsEntry{Names: []string{name}, Addr: addr})
	}
	return list, nil
}

// ulimits are name=soft:hard, or name=both.
func ulimits(text string) ([]specs.POSIXRlimit, error) {
	all, err := words(text)
	if err != nil {
		return nil, invalid("ulimit=%s: %w", text, err)
	}
	var list []specs.POSIXRlimit
	for _, one := range all {
		name, values, ok := strings.Cut(one, "=")
		soft, hard, two := strings.Cut(values, ":")
		if !two {
			hard = soft
		}
		s, serr := strconv.ParseInt(soft, 10, 64)
		h, herr := strconv.ParseInt(hard, 10, 64)
		if err := errors.Join(serr, herr); !ok || err != nil {
			return nil, invalid("--ulimit %s: expected NAME=SOFT:HARD", one)
		}
		// -1 is no bound, as for setrlimit(2).
		list = append(list, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name), Soft: uint64(s), Hard: uint64(h)})
	}
	return list, nil
}

// directory is what a client's directory is shown as.
func directory(name string) string {
	switch name {
	case "context":
		return "build context"
	case "dockerfile":
		return "build definition"
	}
	return fmt.Sprintf("context %s", name)
}
