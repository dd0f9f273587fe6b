package spec

import (
	"path"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/spec/tree"
)

var buildFields = fields[Build]{
	"context":             func(d *decoder, n *tree.Node, b *Build) { b.Context = d.str(n) },
	"dockerfile":          func(d *decoder, n *tree.Node, b *Build) { b.Dockerfile = d.str(n) },
	"dockerfile_inline":   func(d *decoder, n *tree.Node, b *Build) { b.DockerfileInline = d.str(n) },
	"args":                func(d *decoder, n *tree.Node, b *Build) { b.Args = d.inherited(n, true) },
	"target":              func(d *decoder, n *tree.Node, b *Build) { b.Target = d.str(n) },
	"additional_contexts": func(d *decoder, n *tree.Node, b *Build) { b.AdditionalContexts = d.contexts(n) },
	"labels":              func(d *decoder, n *tree.Node, b *Build) { b.Labels = d.stringMap(n) },
	"tags":                func(d *decoder, n *tree.Node, b *Build) { b.Tags = unique(d.items(n), d.str) },
	"platforms":           func(d *decoder, n *tree.Node, b *Build) { b.Platforms = d.strs(n) },
	"cache_from":          func(d *decoder, n *tree.Node, b *Build) { b.CacheFrom = d.caches(n, buildcache.From) },
	"cache_to":            func(d *decoder, n *tree.Node, b *Build) { b.CacheTo = d.caches(n, buildcache.To) },
	"no_cache":            func(d *decoder, n *tree.Node, b *Build) { b.NoCache = d.boolean(n) },
	"no_cache_filter":     func(d *decoder, n *tree.Node, b *Build) { b.NoCacheFilter = d.oneOrMore(n) },
	"pull":                func(d *decoder, n *tree.Node, b *Build) { b.Pull = d.boolean(n) },
	"network":             func(d *decoder, n *tree.Node, b *Build) { b.Network = d.buildNetwork(n) },
	"extra_hosts":         func(d *decoder, n *tree.Node, b *Build) { b.ExtraHosts = d.extraHosts(n) },
	"secrets":             func(d *decoder, n *tree.Node, b *Build) { b.Secrets = d.buildSecrets(n) },
	"ssh":                 func(d *decoder, n *tree.Node, b *Build) { b.SSH = d.sshKeys(n) },
	"shm_size":            func(d *decoder, n *tree.Node, b *Build) { b.ShmSize = d.bytes(n) },
	"ulimits":             func(d *decoder, n *tree.Node, b *Build) { b.Ulimits = d.ulimits(n) },
	"privileged":          func(d *decoder, n *tree.Node, b *Build) { b.Privileged = d.boolean(n) },
	"entitlements":        func(d *decoder, n *tree.Node, b *Build) { b.Entitlements = d.strs(n) },
	"isolation":           func(d *decoder, n *tree.Node, b *Build) { b.Isolation = d.str(n) },
	"provenance":          func(d *decoder, n *tree.Node, b *Build) { b.Provenance = d.boolOrStr(n) },
	"sbom":                func(d *decoder, n *tree.Node, b *Build) { b.SBOM = d.boolOrStr(n) },
}

// build decodes a context or the long form.
func (d *decoder) build(n *tree.Node) *Build {
	b := &Build{}
	if n.Kind == tree.Scalar {
		b.Context = d.str(n)
	} else if !object(d, n, buildFields, b) {
		return b
	}
	if b.Context == "" {
		b.Context = "."
	}
	b.Context = d.contextPath(b.Context)
	switch {
	case b.Dockerfile != "" && b.DockerfileInline != "":
		d.inconsistent(CodeConflict, n, n.Path+" has dockerfile and dockerfile_inline", "keep one of them")
	case d.in.Raw.Defaults:
	case b.Dockerfile == "" && b.DockerfileInline == "" && n.Get("dockerfile").IsNull():
		b.Dockerfile = "Dockerfile"
	}
	return b
}

// contextPath makes a local build context absolute; URLs and services stay.
func (d *decoder) contextPath(s string) string {
	if isRemote(s) || strings.HasPrefix(s, "service:") {
		return s
	}
	return d.path(s)
}

func (d *decoder) contexts(n *tree.Node) map[string]string {
	m := d.stringMap(n)
	for k, v := range m {
		m[k] = d.contextPath(v)
	}
	return m
}

func (d *decoder) strs(n *tree.Node) []string { return d.strsOf(d.items(n)) }

// caches are places as read reads them: what cannot be meant is a fault of who runs it, what has no effect is told. An empty one is none.
func (d *decoder) caches(n *tree.Node, read func(string) (buildcache.Place, string, error)) []string {
	out := d.strs(n)
	for i, it := range d.items(n) {
		if out[i] == "" {
			continue
		}
		switch _, void, err := read(out[i]); {
		case err != nil:
			d.unfit(it, err.Error(), "see https://docs.docker.com/build/cache/backends/")
		case void != "":
			d.note(it, it.Path+": "+void, "")
		}
	}
	return out
}

// oneOrMore is strs, or one string.
func (d *decoder) oneOrMore(n *tree.Node) []string { return d.strsOf(d.many(n)) }

func (d *decoder) strsOf(nodes []*tree.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, it := range nodes {
		out = append(out, d.str(it))
	}
	return out
}

// inherited decodes variables of which some have no value: those take the project's;
// they stay nil when it has none, or are dropped.
func (d *decoder) inherited(n *tree.Node, drop bool) map[string]*string {
	m := map[string]*string{}
	for _, e := range d.entries(n) {
		if v, ok := d.lookup(e.key); e.null && ok {
			e.value, e.null = v, false
		}
		switch {
		case !e.null:
			m[e.key] = &e.value
		case !drop:
			m[e.key] = nil
		}
	}
	return m
}

// buildNetwork decodes what the commands of a build are connected to.
func (d *decoder) buildNetwork(n *tree.Node) string {
	s := d.str(n)
	switch s {
	case "", "default", "none", "host":
	default:
		d.unfit(n, strconv.Quote(s)+" is nothing that a build can be connected to", "use default, none or host")
	}
	return s
}

func (d *decoder) buildSecrets(n *tree.Node) []FileUse {
	var out []FileUse
	for _, it := range d.items(n) {
		var u FileUse
		if it.Kind == tree.Mapping {
			object(d, it, fileUseFields, &u)
		} else {
			u.Source = d.str(it)
		}
		out = append(out, u)
	}
	return out
}

// boolOrStr takes true, false or a string.
func (d *decoder) boolOrStr(n *tree.Node) string {
	if n.Kind == tree.Scalar && n.Type == tree.Bool {
		return n.Text()
	}
	return d.str(n)
}

// sshKeys decodes "default" and ID=PATH, as a list or a mapping.
func (d *decoder) sshKeys(n *tree.Node) []SSHKey {
	var out []SSHKey
	for _, e := range d.entries(n) {
		if e.value != "" && !path.IsAbs(e.value) {
			e.value = d.path(e.value)
		}
		out = append(out, SSHKey{e.key, e.value})
	}
	return out
}
