package bundle

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
)

// Net is what a container's start finds out: which namespaces it joins and what its names are.
type Net struct {
	Path       string       // network namespace to join; "" with Host
	Host       bool         // the host's network
	Hostname   string       // the host's, for a container without a name of its own (uts: host)
	Shared     *Names       // those of whose network it lives in, for a container that the file gives no name
	Addrs      []netip.Addr // its own addresses
	Extra      []network.HostsEntry
	ResolvConf string
	PIDPath    string // pid namespace to join; "" = its own or the host's, as New chose
	IPCPath    string
	SharedDir  string        // /dev/shm of whom IPCPath is, as the host names it; with IPCPath
	Owners     []string      // ids of the containers whose namespaces it joins
	Inherited  []mount.Mount // of the containers that volumes_from names
}

// Names are what a container is called in its own eyes.
type Names struct{ Host, Domain string }

// Files that the platform writes for a container and that programs in it may rewrite.
const (
	hostsFile    = "/etc/hosts"
	hostnameFile = "/etc/hostname"
	resolvFile   = "/etc/resolv.conf"
)

// Connect returns cfg with what New left open. cfg is left as it is. It may be applied again to what it returned, for the
// next start: it replaces what it wrote.
func Connect(cfg runtime.Config, n Net) runtime.Config {
	spec, linux := *cfg.Spec, *cfg.Spec.Linux
	linux.Namespaces = slices.Clone(linux.Namespaces)
	spec.Linux, cfg.Spec = &linux, &spec
	cfg.Mounts = slices.Clone(cfg.Mounts)

	join(cfg.Spec, specs.NetworkNamespace, n.Path, n.Host)
	if n.PIDPath != "" {
		join(cfg.Spec, specs.PIDNamespace, n.PIDPath, false)
	}
	if n.IPCPath != "" {
		join(cfg.Spec, specs.IPCNamespace, n.IPCPath, false)
		// System V objects and message queues go with the namespace; POSIX shared memory is files, which do not.
		spec.Mounts = bindOver(spec.Mounts, shmDir, n.SharedDir)
	}
	cfg.Facts = maps.Clone(cfg.Facts)
	delete(cfg.Facts, FactOwners)
	if len(n.Owners) > 0 {
		cfg.Facts[FactOwners] = strings.Join(n.Owners, ",")
	}
	inherit(&cfg, n.Inherited)
	if n.Shared != nil && spec.Hostname != "" { // not with uts: host
		rename(&spec, *n.Shared)
	}
	hostname := firstOf(spec.Hostname, n.Hostname)
	put(&cfg, hostsFile, hostsContent(hostname, spec.Domainname, n.Addrs, n.Extra))
	put(&cfg, hostnameFile, hostname+"\n")
	put(&cfg, resolvFile, n.ResolvConf)
	return cfg
}

// rename gives s other names, in its environment too unless somebody has said something else there.
func rename(s *specs.Spec, to Names) {
	p := *s.Process
	p.Env = slices.Clone(p.Env)
	if i := slices.Index(p.Env, "HOSTNAME="+s.Hostname); i >= 0 {
		p.Env[i] = "HOSTNAME=" + to.Host
	}
	s.Process, s.Hostname, s.Domainname = &p, to.Host, to.Domain
}

func join(s *specs.Spec, kind specs.LinuxNamespaceType, path string, host bool) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == kind })
	if !host {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

// put sets a platform file, unless the user mounts something of theirs there.
func put(cfg *runtime.Config, target, content string) {
	m := mount.Mount{Type: "file", Target: target, File: &mount.File{Content: []byte(content), Mode: 0o644, Writable: true}}
	for i := range cfg.Mounts {
		if cfg.Mounts[i].Target == target {
			if f := cfg.Mounts[i].File; f != nil && f.Writable {
				cfg.Mounts[i] = m
			}
			return
		}
	}
	cfg.Mounts = append(cfg.Mounts, m)
	slices.SortStableFunc(cfg.Mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
}

// hostsContent is the content of /etc/hosts: the loopback names, the file's extra_hosts, the container's own.
func hostsContent(hostname, domainname string, own []netip.Addr, extra []network.HostsEntry) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\n" +
		"ff00::0\tip6-mcastprefix\n" +
		"ff02::1\tip6-allnodes\n" +
		"ff02::2\tip6-allrouters\n")
	for _, e := range extra {
		fmt.Fprintf(&b, "%s\t%s\n", e.Addr, strings.Join(e.Names, " "))
	}
	names := hostname
	if domainname != "" {
		names += "." + domainname
	}
	if short, _, full := strings.Cut(names, "."); full {
		names += " " + short
	}
	for _, a := range own {
		fmt.Fprintf(&b, "%s\t%s\n", a, names)
	}
	return b.String()
}
