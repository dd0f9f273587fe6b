package proto

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/mount"
)

// A Bootstrap on the wire is two parts: what the monitor needs for as long as it runs, and what the making of the container needs. The contents of secrets
// are in the second, which a running monitor has no more.

// Encode is b for a monitor. Of b.Spec it holds what package boot does; what it does not, the caller has refused.
// Preconditions: b.Spec and its Process are there.
func (b *Bootstrap) Encode() []byte {
	c := *b
	if c.Spec.Linux == nil {
		s := *c.Spec
		s.Linux = &specs.Linux{}
		c.Spec = &s
	}
	w := &wire{b: make([]byte, 0, 8<<10+len(b.Seccomp))}
	w.monitorPart(&c)
	w.bootPart(&c)
	return w.b
}

// DecodeMonitor reads what a running monitor needs.
func DecodeMonitor(data []byte) (*Bootstrap, error) {
	w := &wire{b: data, reading: true}
	b := empty()
	w.monitorPart(b)
	return b, w.err
}

// DecodeBoot reads everything. The result holds parts of data.
func DecodeBoot(data []byte) (*Bootstrap, error) {
	w := &wire{b: data, reading: true}
	b := empty()
	w.monitorPart(b)
	w.bootPart(b)
	return b, w.err
}

func empty() *Bootstrap {
	return &Bootstrap{Spec: &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}}
}

// Encode is b for an exec.
func (b *ExecBootstrap) Encode() []byte {
	w := &wire{b: make([]byte, 0, 4<<10+len(b.Seccomp))}
	w.exec(b)
	return w.b
}

// DecodeExec reads an ExecBootstrap. The result holds parts of data.
func DecodeExec(data []byte) (*ExecBootstrap, error) {
	w := &wire{b: data, reading: true}
	b := new(ExecBootstrap)
	w.exec(b)
	return b, w.err
}

func (w *wire) monitorPart(b *Bootstrap) {
	w.text(&b.RunDir)
	w.text(&b.ExitPath)
	w.text(&b.Log.Path)
	number(w, &b.Log.MaxSize)
	number(w, &b.Log.MaxFiles)
	w.flag(&b.StdinOpen)
	w.flag(&b.AwaitAttach)
	w.cgroup(&b.Cgroup)
	w.flag(&b.Spec.Process.Terminal)
	list(w, &b.Spec.Linux.Namespaces, func(w *wire, ns *specs.LinuxNamespace) {
		name(w, &ns.Type)
		w.text(&ns.Path)
	})
	list(w, &b.Filesystems, (*wire).mount)
}

func (w *wire) bootPart(b *Bootstrap) {
	w.text(&b.ID)
	list(w, &b.Root, (*wire).mount)
	list(w, &b.Mounts, (*wire).mount)
	w.texts(&b.Groups)
	w.flag(&b.Init)
	w.flag(&b.Cramped)
	w.bytes(&b.Seccomp)

	s := b.Spec
	w.process(s.Process)
	optional(w, &s.Root, func(w *wire, r *specs.Root) { w.flag(&r.Readonly) })
	w.text(&s.Hostname)
	w.text(&s.Domainname)
	list(w, &s.Mounts, func(w *wire, m *specs.Mount) {
		w.text(&m.Destination)
		w.text(&m.Type)
		w.text(&m.Source)
		w.texts(&m.Options)
	})
	l := s.Linux
	list(w, &l.Devices, (*wire).device)
	w.texts(&l.MaskedPaths)
	w.texts(&l.ReadonlyPaths)
	w.table(&l.Sysctl)
}

func (w *wire) exec(b *ExecBootstrap) {
	number(w, &b.Pid)
	number(w, &b.PidStart)
	w.cgroup(&b.Cgroup)
	number(w, &b.Timeout)
	w.flag(&b.Process.Terminal)
	w.process(&b.Process)
	w.texts(&b.Groups)
	w.bytes(&b.Seccomp)
}

func (w *wire) cgroup(c *Cgroup) {
	w.text(&c.V2)
	w.texts(&c.V1)
	w.text(&c.OOM)
}

func (w *wire) mount(m *mount.Mount) {
	w.text(&m.Type)
	w.text(&m.Source)
	w.text(&m.Target)
	w.texts(&m.Options)
	w.text(&m.Subpath)
	w.flag(&m.CopyUp)
	w.flag(&m.MatchUser)
	w.texts(&m.Lower)
	w.texts(&m.Data)
	w.text(&m.Upper)
	w.text(&m.Work)
	optional(w, &m.File, func(w *wire, f *mount.File) {
		w.bytes(&f.Content)
		number(w, &f.UID)
		number(w, &f.GID)
		number(w, &f.Mode)
		w.flag(&f.Writable)
	})
}

func (w *wire) process(p *specs.Process) {
	optional(w, &p.ConsoleSize, func(w *wire, b *specs.Box) {
		number(w, &b.Height)
		number(w, &b.Width)
	})
	w.user(&p.User)
	w.texts(&p.Args)
	w.texts(&p.Env)
	w.text(&p.Cwd)
	optional(w, &p.Capabilities, func(w *wire, c *specs.LinuxCapabilities) {
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Inheritable, &c.Permitted, &c.Ambient} {
			w.texts(set)
		}
	})
	list(w, &p.Rlimits, func(w *wire, l *specs.POSIXRlimit) {
		w.text(&l.Type)
		number(w, &l.Hard)
		number(w, &l.Soft)
	})
	w.flag(&p.NoNewPrivileges)
	optional(w, &p.OOMScoreAdj, number[int])
}

func (w *wire) user(u *specs.User) {
	number(w, &u.UID)
	number(w, &u.GID)
	optional(w, &u.Umask, number[uint32])
	list(w, &u.AdditionalGids, number[uint32])
	w.text(&u.Username)
}

func (w *wire) device(d *specs.LinuxDevice) {
	w.text(&d.Path)
	w.text(&d.Type)
	number(w, &d.Major)
	number(w, &d.Minor)
	optional(w, &d.FileMode, number)
	optional(w, &d.UID, number[uint32])
	optional(w, &d.GID, number[uint32])
}
