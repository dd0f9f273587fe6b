package build

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/basespec"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/seccomp"
)

// factBuild is the fact of a container that it is a step of a build. Such a one is of no project, and is removed by Sweep.
const factBuild = "build"

// maxTasks is how many processes and threads a command may have, as any container without a bound of its own.
const maxTasks = 4096

// configure fills in cfg: what every container has, and what the step and the build say.
func (w *worker) configure(cfg *runtime.Config, cmd command, box network.Sandbox, extra []stepMount) error {
	conf := &w.state.conf.Config
	spec := basespec.New()
	cfg.Spec = spec
	cfg.Labels = map[string]string{labelBuild: "true"}
	cfg.Facts = map[string]string{factBuild: "true"}
	hostname := "buildkitsandbox" // as docker's: scripts have been seen to write it down
	p := spec.Process
	p.Args = cmd.args
	p.Env = environment(cmd.env, proxies(w.r.Args), extra)
	if p.Cwd = conf.WorkingDir; p.Cwd == "" {
		p.Cwd = "/"
	}
	p.User.Username = conf.User
	for _, limit := range w.r.Ulimits {
		p.Rlimits = slices.DeleteFunc(p.Rlimits, func(r specs.POSIXRlimit) bool { return r.Type == limit.Type })
		p.Rlimits = append(p.Rlimits, limit)
	}
	spec.Root = &specs.Root{Path: "rootfs"}
	spec.Hostname = hostname
	spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: new(int64(maxTasks))}
	if w.r.ShmSize > 0 {
		for i := range spec.Mounts {
			if m := &spec.Mounts[i]; m.Destination == "/dev/shm" {
				m.Options = append(slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return strings.HasPrefix(o, "size=") }), fmt.Sprintf("size=%d", w.r.ShmSize))
			}
		}
	}
	if w.r.Privileged {
		warnings, err := basespec.Privileged(spec)
		if err != nil {
			return err
		}
		for _, text := range warnings {
			w.note(text)
		}
	} else {
		var err error
		if spec.Linux.Seccomp, err = seccomp.Default(p.Capabilities.Bounding); err != nil {
			return err
		}
	}
	spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.NetworkNamespace })
	resolv := box.ResolvConf
	if cmd.mode == "host" {
		text, err := os.ReadFile("/etc/resolv.conf")
		if err != nil {
			w.note("the host has no /etc/resolv.conf to give to RUN: " + err.Error())
		}
		resolv = string(text)
	} else {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: box.Path})
	}
	var own []netip.Addr
	for _, ep := range box.Endpoints {
		if ep.Addr4.IsValid() {
			own = append(own, ep.Addr4.Addr())
		}
	}
	for _, f := range []struct{ path, text string }{
		{"/etc/hosts", hosts(hostname, own, w.r.ExtraHosts)}, {"/etc/hostname", hostname + "\n"}, {"/etc/resolv.conf", resolv},
	} {
		cfg.Mounts = append(cfg.Mounts, mount.Mount{Type: "file", Target: f.path, File: &mount.File{Content: []byte(f.text), Mode: 0o644, Writable: true}})
	}
	for _, m := range extra {
		if m.Target != "" {
			cfg.Mounts = append(cfg.Mounts, m.Mount)
		}
	}
	slices.SortStableFunc(cfg.Mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	return nil
}

// environment is what a command sees: what the image will have, the ARGs, the proxies, the agent and secrets of this build.
func environment(env, proxies []string, extra []stepMount) []string {
	out := []string{"PATH=" + basespec.Path}
	for _, kv := range proxies {
		name, value, _ := strings.Cut(kv, "=")
		out = setVariable(out, name, value)
	}
	if i := slices.IndexFunc(extra, func(m stepMount) bool { return m.agent }); i >= 0 {
		out = setVariable(out, "SSH_AUTH_SOCK", extra[i].Target) // unless the image has one
	}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		out = setVariable(out, name, value)
	}
	for _, m := range extra {
		if m.env != "" {
			out = setVariable(out, m.env, m.value)
		}
	}
	return out
}

// hosts is the content of /etc/hosts.
func hosts(hostname string, own []netip.Addr, extra []network.HostsEntry) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost " + hostname + "\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	for _, e := range extra {
		fmt.Fprintf(&b, "%s\t%s\n", e.Addr, strings.Join(e.Names, " "))
	}
	for _, a := range own {
		fmt.Fprintf(&b, "%s\t%s\n", a, hostname)
	}
	return b.String()
}

// targets are all places in the root that something is mounted on.
func targets(cfg *runtime.Config) []stubTarget {
	var list []stubTarget
	for _, m := range cfg.Spec.Mounts {
		list = append(list, stubTarget{path: m.Destination})
	}
	for _, m := range cfg.Mounts {
		list = append(list, stubTarget{path: m.Target, file: m.Type == "file"})
	}
	return list
}
