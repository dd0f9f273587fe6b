package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/mount"
)

// Mounts turns uses into mounts, ordered so that a parent comes before what is mounted below it.
// A bind's missing source is made when CreateHostPath says so, and it does not name a socket; else it is ErrNotFound and names the path. Where
// dockerd's socket is missing it is the daemon's own.
func (d *Driver) Mounts(ctx context.Context, uses []Use) ([]mount.Mount, error) {
	mounts := make([]mount.Mount, 0, len(uses))
	for _, u := range uses {
		m, err := d.mount(u)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, m)
	}
	// A prefix sorts before what it is a prefix of; stable, so that of two at one target the later covers.
	slices.SortStableFunc(mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	return mounts, nil
}

func (d *Driver) mount(u Use) (mount.Mount, error) {
	if !filepath.IsAbs(u.Target) || filepath.Clean(u.Target) != u.Target {
		return mount.Mount{}, errdefs.With(errdefs.ErrInvalidArgument,
			fmt.Errorf("cannot mount at %q: expected a clean absolute path", u.Target))
	}
	switch u.Kind {
	case Bind:
		return d.bindMount(u)
	case Volume:
		return d.volumeMount(u)
	case Tmpfs:
		return mount.Mount{Type: "tmpfs", Source: "tmpfs", Target: u.Target, Options: tmpfsOptions(u)}, nil
	case File:
		return mount.Mount{Type: "file", Target: u.Target, File: &mount.File{
			Content: u.Content, UID: u.UID, GID: u.GID, Mode: u.Mode,
		}}, nil
	}
	return mount.Mount{}, errdefs.With(errdefs.ErrNotSupported,
		fmt.Errorf("cannot mount at %q: kind %q is not supported, expected bind, volume, tmpfs or file", u.Target, u.Kind))
}

// NamesSocket says whether path is the name of a socket. A directory is never made in the place of one that is not there: nobody could use it, and the
// server that comes later could not listen there.
func NamesSocket(path string) bool { return strings.HasSuffix(path, ".sock") }

// dockerSockets are where dockerd listens. Files mount it into what looks after containers: proxies, dashboards, runners.
var dockerSockets = []string{"/var/run/docker.sock", "/run/docker.sock"}

func (d *Driver) bindMount(u Use) (mount.Mount, error) {
	if !filepath.IsAbs(u.Source) {
		return mount.Mount{}, errdefs.With(errdefs.ErrInvalidArgument,
			fmt.Errorf("cannot mount %q at %q: expected an absolute path on the host", u.Source, u.Target))
	}
	// Stat and not Lstat: a link of the host's is the user's own way to say where.
	_, err := os.Stat(u.Source)
	switch {
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return mount.Mount{}, fmt.Errorf("cannot mount %q at %q: %w", u.Source, u.Target, err)
	case IsDockerSocket(u.Source):
		// No dockerd is here: the engine whose API is meant is this one. A directory in its place would help nobody, and a dockerd
		// that is installed later could not listen there.
		u.Source = d.socket
	case !u.CreateHostPath:
		return mount.Mount{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf(
			"cannot mount %q at %q: bind source path does not exist on this host (create it, or set bind.create_host_path: true)", u.Source, u.Target))
	case NamesSocket(u.Source):
		return mount.Mount{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot mount %q at %q: no such socket on the host", u.Source, u.Target))
	}
	o, err := bindOptions(u)
	if err != nil {
		return mount.Mount{}, err
	}
	m := mount.Mount{Type: "bind", Source: filepath.Clean(u.Source), Target: u.Target, Options: o, Subpath: u.Subpath, MatchUser: u.MatchUser, MakeSource: u.CreateHostPath && !NamesSocket(u.Source)}
	return m, makeSource(m)
}

// makeSource makes the directory that m, a bind, mounts, where it may be made and there is nothing.
func makeSource(m mount.Mount) error {
	if !m.MakeSource {
		return nil
	}
	if _, err := os.Stat(m.Source); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is the matter with it its mount says
	}
	if err := os.MkdirAll(m.Source, 0o755); err != nil {
		return fmt.Errorf("cannot create %q to mount at %q: %w", m.Source, m.Target, err)
	}
	return nil
}

// IsDockerSocket says whether a bind's source is the socket of dockerd, which need not be there: Mounts takes the daemon's own then.
func IsDockerSocket(source string) bool {
	return slices.Contains(dockerSockets, filepath.Clean(source))
}

// bindOptions are the words of the OCI runtime-spec.
// https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-mount-options
func bindOptions(u Use) ([]string, error) {
	var o []string
	switch u.Recursive {
	case "", "enabled", "writable", "readonly":
		o = append(o, "rbind")
	case "disabled":
		o = append(o, "bind")
	default:
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(
			"cannot mount at %q: recursive %q, expected enabled, disabled, writable or readonly", u.Target, u.Recursive))
	}
	if u.Recursive == "readonly" && !u.ReadOnly {
		return nil, errdefs.With(errdefs.ErrInvalidArgument,
			fmt.Errorf("cannot mount at %q: recursive readonly needs read_only: true", u.Target))
	}
	if u.ReadOnly {
		switch u.Recursive {
		case "writable", "disabled":
			o = append(o, "ro")
		default:
			// Submounts too (mount_setattr(2), AT_RECURSIVE, kernel 5.12).
			o = append(o, "rro")
		}
	}
	switch u.Propagation {
	case "":
		o = append(o, "rprivate")
	case "private", "rprivate", "shared", "rshared", "slave", "rslave":
		o = append(o, u.Propagation)
	default:
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(
			"cannot mount at %q: propagation %q, expected rprivate, private, rshared, shared, rslave or slave", u.Target, u.Propagation))
	}
	return o, nil
}

func (d *Driver) volumeMount(u Use) (mount.Mount, error) {
	if err := checkName(u.Source); err != nil {
		return mount.Mount{}, fmt.Errorf("cannot mount volume %q at %q: %w", u.Source, u.Target, err)
	}
	s, err := d.state(u.Source)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("cannot mount volume %q at %q: %w", u.Source, u.Target, err)
	}
	if s.Problem != "" {
		return mount.Mount{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot mount volume %q at %q: %s", u.Source, u.Target, s.Problem))
	}
	opts, err := parseOptions(s.Config)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("cannot mount volume %q at %q: %w", u.Source, u.Target, err)
	}
	if opts.tmpfs {
		if u.Subpath != "" {
			return mount.Mount{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot mount subpath %q of volume %q at %q: a volume of type tmpfs is empty at first", u.Subpath, u.Source, u.Target))
		}
		o := append([]string{"nodev"}, opts.words...)
		if u.ReadOnly || opts.ro {
			o = append(o, "ro")
		}
		return mount.Mount{Type: "tmpfs", Source: "tmpfs", Target: u.Target, Options: o}, nil
	}
	if opts.fs != nil {
		return opts.fs.mount(u)
	}
	if opts.device != "" {
		if _, err := os.Stat(opts.device); err != nil {
			return mount.Mount{}, fmt.Errorf("cannot mount volume %q at %q: its device: %w", u.Source, u.Target, err)
		}
	}
	o := []string{"rbind"}
	if opts.device == "" {
		// A volume of ours holds data. Device nodes that a container makes there open nothing, in whichever container they
		// turn up; set-user-ID files keep their meaning, programs are installed in volumes.
		o = append(o, "nodev")
	}
	if u.ReadOnly || opts.ro {
		o = append(o, "rro")
	}
	return mount.Mount{
		Type: "bind", Source: s.Path, Target: u.Target, Options: append(o, "rprivate"), Subpath: u.Subpath,
		// With a subpath the image's directory is not the volume's counterpart.
		CopyUp: !u.NoCopy && u.Subpath == "" && !opts.ro,
	}, nil
}

// mount is the mount of f by u.
func (f *filesystem) mount(u Use) (mount.Mount, error) {
	if err := f.check(); err != nil {
		return mount.Mount{}, fmt.Errorf("cannot mount volume %q at %q: %w", u.Source, u.Target, err)
	}
	o := slices.Clone(f.words)
	if u.ReadOnly && !f.readOnly() {
		// The mount only: the file system is one, whoever mounts it.
		o = append(o, "ro")
	}
	return mount.Mount{
		Type: f.kind, Source: f.device, Target: u.Target, Options: o, Data: f.data, Server: f.server, Subpath: u.Subpath,
		CopyUp: !u.NoCopy && u.Subpath == "" && !f.readOnly(),
	}, nil
}

// opposites are pairs of mount options of which the later one holds.
var opposites = map[string]string{
	"exec": "noexec", "noexec": "exec", "suid": "nosuid", "nosuid": "suid", "dev": "nodev", "nodev": "dev",
	"ro": "rw", "rw": "ro", "atime": "noatime", "noatime": "atime",
}

// tmpfsOptions starts from docker's defaults (noexec, nosuid, nodev); the user's words win over them.
func tmpfsOptions(u Use) []string {
	all := []string{"noexec", "nosuid", "nodev"}
	add := func(word string) {
		key, _, _ := strings.Cut(word, "=")
		all = slices.DeleteFunc(all, func(have string) bool {
			k, _, _ := strings.Cut(have, "=")
			return k == key || k == opposites[key]
		})
		all = append(all, word)
	}
	if u.ReadOnly {
		add("ro")
	}
	if u.Size > 0 {
		add(fmt.Sprintf("size=%d", u.Size))
	}
	if u.Mode != 0 {
		add(fmt.Sprintf("mode=%o", u.Mode))
	}
	for _, word := range u.Options {
		if word != "" {
			add(word)
		}
	}
	return all
}
