package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/jsonstream"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/internal/reference"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile"
)

// refusedOfBuild are the parameters of a build that would have no effect, with why; "", 0, false and empty lists are none.
var refusedOfBuild = []struct{ name, why string }{
	{"remote", "send the sources, as docker build does for what is in git or at a URL too"},
	{"outputs", "an image is made, and nothing else"},
	{"squash", "each step is a layer"},
	{"memory", "a build has no limit of its own"},
	{"memswap", "a build has no limit of its own"},
	{"cpushares", "a build has no limit of its own"},
	{"cpusetcpus", "a build has no limit of its own"},
	{"cpusetmems", "a build has no limit of its own"},
	{"cpuperiod", "a build has no limit of its own"},
	{"cpuquota", "a build has no limit of its own"},
	{"cgroupparent", "builds have a control group of their own"},
	{"securityopt", "commands of a build run with the usual profile"},
	{"isolation", "it is for Windows"},
}

func (h *handlers) build(w http.ResponseWriter, r *http.Request) error {
	b, err := buildRequest(r)
	if err != nil {
		drain(r)
		return err
	}
	b.Context = r.Body
	out := wire.NewProgress(w)
	l := newBuilding(out, wire.Bool(r, "q"))
	info, err := h.engine.BuildImage(r.Context(), b, l.tell)
	l.release()
	if err != nil {
		if !l.begun {
			drain(r)
		}
		return out.End(err)
	}
	text, err := json.Marshal(map[string]string{"ID": info.ID.String()})
	if err != nil {
		return out.End(err)
	}
	aux := json.RawMessage(text)
	out.Send(jsonstream.Message{Aux: &aux}) //nolint:errcheck // the peer is gone: the image is there
	if l.quiet {
		return out.End(out.Send(jsonstream.Message{Stream: info.ID.String() + "\n"}))
	}
	l.stream("Successfully built " + objectid.Short(info.ID.Hex) + "\n")
	for _, tag := range b.Tags {
		if p, err := reference.Parse(tag); err == nil {
			tag = p.Familiar()
		}
		l.stream("Successfully tagged " + tag + "\n")
	}
	return out.End(nil)
}

// buildRequest reads the parameters of a build.
func buildRequest(r *http.Request) (reconcile.ImageBuild, error) {
	q := r.URL.Query()
	b := reconcile.ImageBuild{Dockerfile: q.Get("dockerfile"), Target: q.Get("target"), NoCache: wire.Bool(r, "nocache"), Pull: wire.Bool(r, "pull")}
	refused := func(format string, args ...any) (reconcile.ImageBuild, error) {
		return b, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot build: "+format, args...))
	}
	invalid := func(name string, err error) (reconcile.ImageBuild, error) {
		return b, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid value for %s: %w", name, err))
	}
	if v := q.Get("version"); v != "" && v != "1" || q.Get("session") != "" {
		return refused("POST /build is the classic builder: version=2 and a session are not supported here. Newer versions of docker build by POST /grpc; others with DOCKER_BUILDKIT=0, or use `stack build`")
	}
	for _, p := range refusedOfBuild {
		switch v := q.Get(p.name); v {
		case "", "0", "false", "null", "[]", "{}":
		default:
			return refused("%s=%s is not supported: %s", p.name, v, p.why)
		}
	}
	for _, tag := range q["t"] {
		if tag == "" {
			continue
		}
		ref, err := reference.Parse(tag)
		if err == nil && ref.HasDigest() {
			err = errors.New("a digest is not given, it is found out")
		}
		if err != nil {
			return invalid("t", err)
		}
		b.Tags = append(b.Tags, tag)
	}
	var err error
	if b.CacheFrom, err = cacheFrom(q.Get("cachefrom")); err != nil {
		return invalid("cachefrom", err)
	}
	if b.Args, err = buildArgs(q.Get("buildargs")); err != nil {
		return invalid("buildargs", err)
	}
	if err := readJSON(q.Get("labels"), &b.Labels); err != nil {
		return invalid("labels", err)
	}
	switch b.Network = q.Get("networkmode"); b.Network {
	case "", "default", "bridge":
		b.Network = ""
	case "none", "host":
	default:
		return refused("networkmode=%s is not supported: a build has default, none or host", b.Network)
	}
	if b.ShmSize, err = number(q.Get("shmsize")); err != nil {
		return invalid("shmsize", err)
	}
	if b.Ulimits, err = ulimits(q.Get("ulimits")); err != nil {
		return invalid("ulimits", err)
	}
	if b.ExtraHosts, err = hosts(q["extrahosts"]); err != nil {
		return invalid("extrahosts", err)
	}
	p, err := v1.ParsePlatform(q.Get("platform"))
	if err != nil {
		return invalid("platform", err)
	}
	b.Platform = *p
	b.Auths, err = builderCredentials(r)
	return b, err
}

func readJSON(text string, to any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), to)
}

// cacheFrom are images whose registries may have a cache of theirs.
func cacheFrom(text string) ([]buildcache.Place, error) {
	var refs []string
	if err := readJSON(text, &refs); err != nil {
		return nil, err
	}
	var list []buildcache.Place
	for _, ref := range refs {
		at, _, err := buildcache.FromAttributes(buildcache.Registry, map[string]string{"ref": ref})
		if err != nil {
			return nil, err
		}
		list = append(list, at)
	}
	return list, nil
}

// buildArgs are a map; a value of null takes what the client's environment has, and it has sent none.
func buildArgs(text string) (map[string]string, error) {
	var all map[string]*string
	if err := readJSON(text, &all); err != nil {
		return nil, err
	}
	args := map[string]string{}
	for name, value := range all {
		if value != nil {
			args[name] = *value
		}
	}
	return args, nil
}

func number(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n < 0 {
		err = errors.New("it is negative")
	}
	return n, err
}

func ulimits(text string) ([]specs.POSIXRlimit, error) {
	var all []struct {
		Name       string
		Soft, Hard int64
	}
	if err := readJSON(text, &all); err != nil {
		return nil, err
	}
	var list []specs.POSIXRlimit
	for _, u := range all {
		if u.Name == "" {
			return nil, errors.New("a limit has no name")
		}
		// -1 is no bound, as for setrlimit(2).
		list = append(list, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)})
	}
	return list, nil
}

// hosts are name:address or name=address, also several in one, separated by commas.
func hosts(texts []string) ([]network.HostsEntry, error) {
	var list []network.HostsEntry
	for _, text := range texts {
		for one := range strings.SplitSeq(text, ",") {
			if one == "" {
				continue
			}
			name, address, ok := strings.Cut(one, "=")
			if !ok {
				name, address, ok = strings.Cut(one, ":")
			}
			if !ok || name == "" {
				return nil, fmt.Errorf("%q is not NAME:ADDRESS", one)
			}
			if address == "host-gateway" {
				return nil, fmt.Errorf("host-gateway of %s is not known to builds; give the address of the host", name)
			}
			addr, err := netip.ParseAddr(strings.Trim(address, "[]"))
			if err != nil {
				return nil, err
			}
			list = append(list, network.HostsEntry{Names: []string{name}, Addr: addr})
		}
	}
	return list, nil
}

// prunedBuilds is the answer of a prune of builds.
type prunedBuilds struct {
	CachesDeleted  []string
	SpaceReclaimed uint64
}

func (h *handlers) pruneBuilds(w http.ResponseWriter, r *http.Request) error {
	if _, err := wire.ReadFilters(r); err != nil {
		return err
	}
	for _, name := range []string{"keep-storage", "reserved-space", "max-used-space", "min-free-space"} {
		if v := r.URL.Query().Get(name); v != "" && v != "0" {
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot prune builds: %s=%s is not supported: the cache is brought into its bounds after each build, and pruned as a whole", name, v))
		}
	}
	bytes, err := h.engine.PruneBuilds(r.Context())
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, prunedBuilds{[]string{}, uint64(bytes)})
}
