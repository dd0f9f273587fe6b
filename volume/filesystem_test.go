package volume

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/mount"
)

// TestFilesystemOptions: what docker's local driver gives to mount(2), as mount values.
func TestFilesystemOptions(t *testing.T) {
	for _, tt := range []struct {
		opts map[string]string
		want mount.Mount
	}{
		{map[string]string{"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,rw,nfsvers=4"},
			mount.Mount{Type: "nfs", Source: ":/export", Options: []string{"nodev"}, Data: []string{"addr=10.0.0.1", "nfsvers=4"}, CopyUp: true}},
		{map[string]string{"type": "nfs", "device": ":/export", "o": "addr=nas.lan,ro,soft,timeo=30"},
			mount.Mount{Type: "nfs", Source: ":/export", Options: []string{"ro", "nodev"}, Data: []string{"addr=nas.lan", "ro", "soft", "timeo=30"}, Server: "nas.lan"}},
		{map[string]string{"type": "nfs4", "device": "nas.lan:/export"},
			mount.Mount{Type: "nfs4", Source: "nas.lan:/export", Options: []string{"nodev"}, Data: []string{"addr=nas.lan"}, Server: "nas.lan", CopyUp: true}},
		{map[string]string{"type": "nfs", "device": "[fd00::1]:/export"},
			mount.Mount{Type: "nfs", Source: "[fd00::1]:/export", Options: []string{"nodev"}, Data: []string{"addr=fd00::1"}, CopyUp: true}},
		{map[string]string{"type": "cifs", "device": "//files.lan/share", "o": "username=u,password=p=x,vers=3.0,noexec"},
			mount.Mount{Type: "cifs", Source: "//files.lan/share", Options: []string{"noexec", "nodev"}, Data: []string{"username=u", "password=p=x", "vers=3.0", "addr=files.lan"}, Server: "files.lan", CopyUp: true}},
		{map[string]string{"type": "cifs", "device": "//files.lan/share", "o": "ip=10.0.0.2"},
			mount.Mount{Type: "cifs", Source: "//files.lan/share", Options: []string{"nodev"}, Data: []string{"addr=10.0.0.2"}, CopyUp: true}},
		{map[string]string{"type": "overlay", "device": "overlay", "o": "lowerdir=/a:/b,upperdir=/u,workdir=/w,dev"},
			mount.Mount{Type: "overlay", Source: "overlay", Options: []string{"dev"}, Data: []string{"lowerdir=/a:/b", "upperdir=/u", "workdir=/w"}, CopyUp: true}},
	} {
		dir := t.TempDir()
		d, err := New(roots.Roots{State: dir + "/state", Run: dir + "/run"}, 0, func(text string) { t.Log(text) })
		ok(t, err)
		_, err = d.Create(t.Context(), Config{ID: "data", DriverOpts: tt.opts})
		ok(t, err)
		got, err := d.Mounts(t.Context(), []Use{{Kind: Volume, Source: "data", Target: "/d", ReadOnly: false}})
		tt.want.Target = "/d"
		if err != nil || !reflect.DeepEqual(got, []mount.Mount{tt.want}) {
			t.Errorf("%v: got %+v, %v\nwant %+v", tt.opts, got, err, tt.want)
		}
	}
}

// TestFilesystemUses: who has it read-only has his mount so, and not the file system, which others may write to.
func TestFilesystemUses(t *testing.T) {
	dir := t.TempDir()
	d, err := New(roots.Roots{State: dir + "/state", Run: dir + "/run"}, 0, func(text string) { t.Log(text) })
	ok(t, err)
	c := Config{ID: "data", DriverOpts: map[string]string{"type": "nfs", "device": "10.0.0.1:/e"}}
	s, err := d.Create(t.Context(), c)
	ok(t, err)
	if !Apart(c) || Single(c) != "" || s.Problem != "" {
		t.Errorf("it is %+v", s)
	}
	got, err := d.Mounts(t.Context(), []Use{{Kind: Volume, Source: "data", Target: "/d", ReadOnly: true, Subpath: "a/b", NoCopy: true}})
	ok(t, err)
	want := mount.Mount{Type: "nfs", Source: "10.0.0.1:/e", Target: "/d", Options: []string{"nodev", "ro"}, Data: []string{"addr=10.0.0.1"}, Subpath: "a/b"}
	if !reflect.DeepEqual(got, []mount.Mount{want}) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// What is there under the volume's own name is nobody's.
	ok(t, d.Delete(t.Context(), "data"))
	for kind, want := range map[string]string{"tmpfs": "tmpfs", "overlay": "overlay", "nfs": ""} {
		if got := Single(Config{ID: "x", DriverOpts: map[string]string{"type": kind, "device": "10.0.0.1:/e"}}); got != want {
			t.Errorf("Single of %s: %q", kind, got)
		}
	}
}

func TestFilesystemFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(file, nil, 0o600))
	for _, tt := range []struct {
		kind, device, o string
		want            string
		is              error
	}{
		{"ext4", "", "", "no device", errdefs.ErrInvalidArgument},
		{"ext4", "/dev/nothing/here", "", "it is not there", errdefs.ErrNotFound},
		{"ext4", file, "", "it is no block device", errdefs.ErrNotFound},
		{"xfs", "/dev/null", "", "it is no block device", errdefs.ErrNotFound},
		{"ext4", file, "loop", "losetup", errdefs.ErrInvalidArgument},
		{"ext4", file, "bind", "does not go with type ext4", errdefs.ErrInvalidArgument},
		{"ext4", file, "rshared", "does not go with type ext4", errdefs.ErrInvalidArgument},
		{"proc", "proc", "", "holds no data", errdefs.ErrNotSupported},
		{"fuse.sshfs", "x", "", "mount on the host", errdefs.ErrNotSupported},
		{"nfs", "/export", "", "SERVER:/PATH", errdefs.ErrInvalidArgument},
		{"nfs", ":/export", "vers=4", "name no server", errdefs.ErrInvalidArgument},
		{"cifs", "share", "", "//SERVER/SHARE", errdefs.ErrInvalidArgument},
		{"cifs", "//files:445/share", "", "port=445", errdefs.ErrInvalidArgument},
	} {
		err := Check(Config{ID: "data", DriverOpts: map[string]string{"type": tt.kind, "device": tt.device, "o": tt.o}})
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q %q: %v, want %q", tt.kind, tt.device, tt.o, err, tt.want)
		}
	}
}

// TestConflictShowsNoPassword: the message names the options that differ, and not what they say.
func TestConflictShowsNoPassword(t *testing.T) {
	dir := t.TempDir()
	d, err := New(roots.Roots{State: dir + "/state", Run: dir + "/run"}, 0, func(text string) { t.Log(text) })
	ok(t, err)
	opts := func(o string) Config {
		return Config{ID: "data", DriverOpts: map[string]string{"type": "cifs", "device": "//10.0.0.1/s", "o": o}}
	}
	_, err = d.Create(t.Context(), opts("password=hunter2"))
	ok(t, err)
	_, err = d.Create(t.Context(), opts("password=swordfish"))
	if !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "(o)") || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "swordfish") {
		t.Errorf("%v", err)
	}
}

func TestLocate(t *testing.T) {
	given := []mount.Mount{
		{Type: "bind", Source: "/a", Target: "/a"},
		{Type: "nfs", Source: ":/e", Target: "/n", Data: []string{"addr=nas", "vers=4"}, Server: "nas"},
	}
	lookup := func(found ...string) func(context.Context, string, string) ([]netip.Addr, error) {
		return func(_ context.Context, _, name string) (all []netip.Addr, _ error) {
			if name != "nas" {
				t.Errorf("%q is looked up", name)
			}
			for _, a := range found {
				all = append(all, netip.MustParseAddr(a))
			}
			return all, nil
		}
	}
	for want, found := range map[string][]string{"10.0.0.1": {"fd00::1", "10.0.0.1", "10.0.0.2"}, "fd00::1": {"fd00::1"}, "10.0.0.3": {"::ffff:10.0.0.3"}} {
		got, err := locate(t.Context(), given, lookup(found...))
		if err != nil || got[1].Data[0] != "addr="+want || got[1].Data[1] != "vers=4" || got[1].Server != "nas" || !reflect.DeepEqual(got[0], given[0]) {
			t.Errorf("%v: %+v, %v", found, got, err)
		}
		again, err := locate(t.Context(), got, lookup("10.9.9.9"))
		if err != nil || again[1].Data[0] != "addr=10.9.9.9" {
			t.Errorf("with another address: %+v, %v", again, err)
		}
	}
	if given[1].Data[0] != "addr=nas" {
		t.Errorf("what was given is changed: %+v", given)
	}
	_, err := locate(t.Context(), given, lookup())
	if err == nil || !strings.Contains(err.Error(), "the server nas of the volume at /n") {
		t.Errorf("a name without an address: %v", err)
	}
}
