package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/mount"
)

func TestMounts(t *testing.T) {
	ctx := context.Background()
	d, root := newDriver(t)
	host := t.TempDir()
	file := filepath.Join(host, "nginx.conf")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(ctx, Config{ID: "data"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(ctx, Config{ID: "there", DriverOpts: map[string]string{"o": "bind,ro", "device": host}}); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(root, "data", "_data")
	for _, tt := range []struct {
		name string
		use  Use
		want mount.Mount
	}{
		{"bind", Use{Kind: Bind, Source: host, Target: "/h"},
			mount.Mount{Type: "bind", Source: host, Target: "/h", Options: []string{"rbind", "rprivate"}}},
		{"a file", Use{Kind: Bind, Source: file, Target: "/etc/nginx.conf", ReadOnly: true},
			mount.Mount{Type: "bind", Source: file, Target: "/etc/nginx.conf", Options: []string{"rbind", "rro", "rprivate"}}},
		{"submounts stay writable", Use{Kind: Bind, Source: host, Target: "/h", ReadOnly: true, Recursive: "writable", Propagation: "rslave"},
			mount.Mount{Type: "bind", Source: host, Target: "/h", Options: []string{"rbind", "ro", "rslave"}}},
		{"without submounts", Use{Kind: Bind, Source: host, Target: "/h", Recursive: "disabled"},
			mount.Mount{Type: "bind", Source: host, Target: "/h", Options: []string{"bind", "rprivate"}}},
		{"volume", Use{Kind: Volume, Source: "data", Target: "/var/lib/db"},
			mount.Mount{Type: "bind", Source: data, Target: "/var/lib/db", Options: []string{"rbind", "nodev", "rprivate"}, CopyUp: true}},
		{"nocopy", Use{Kind: Volume, Source: "data", Target: "/d", NoCopy: true},
			mount.Mount{Type: "bind", Source: data, Target: "/d", Options: []string{"rbind", "nodev", "rprivate"}}},
		{"subpath", Use{Kind: Volume, Source: "data", Target: "/d", Subpath: "a/b"},
			mount.Mount{Type: "bind", Source: data, Target: "/d", Options: []string{"rbind", "nodev", "rprivate"}, Subpath: "a/b"}},
		{"volume with a device", Use{Kind: Volume, Source: "there", Target: "/d"},
			mount.Mount{Type: "bind", Source: host, Target: "/d", Options: []string{"rbind", "rro", "rprivate"}}},
		{"tmpfs", Use{Kind: Tmpfs, Target: "/t"},
			mount.Mount{Type: "tmpfs", Source: "tmpfs", Target: "/t", Options: []string{"noexec", "nosuid", "nodev"}}},
		{"tmpfs as the user says", Use{Kind: Tmpfs, Target: "/t", Size: 65536, Mode: 0o700, Options: []string{"exec", "uid=5", "mode=711"}},
			mount.Mount{Type: "tmpfs", Source: "tmpfs", Target: "/t", Options: []string{"nosuid", "nodev", "size=65536", "exec", "uid=5", "mode=711"}}},
		{"a secret", Use{Kind: File, Target: "/run/secrets/s", Content: []byte("x"), UID: 70, GID: 71, Mode: 0o400},
			mount.Mount{Type: "file", Target: "/run/secrets/s", File: &mount.File{Content: []byte("x"), UID: 70, GID: 71, Mode: 0o400}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := d.Mounts(ctx, []Use{tt.use})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]mount.Mount{tt.want}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMountsAreOrderedByTarget(t *testing.T) {
	d, _ := newDriver(t)
	got, err := d.Mounts(context.Background(), []Use{
		{Kind: Tmpfs, Target: "/a/b/c"}, {Kind: Tmpfs, Target: "/z"}, {Kind: Tmpfs, Target: "/a"}, {Kind: Tmpfs, Target: "/a/b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range got {
		order = append(order, m.Target)
	}
	if s := strings.Join(order, " "); s != "/a /a/b /a/b/c /z" {
		t.Error("got", s)
	}
}

func TestBindSource(t *testing.T) {
	ctx := context.Background()
	d, _ := newDriver(t)
	gone := filepath.Join(t.TempDir(), "a", "b")
	_, err := d.Mounts(ctx, []Use{{Kind: Bind, Source: gone, Target: "/x"}})
	if !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), gone) {
		t.Errorf("a missing source: got %v, expected an error that names it", err)
	}
	if _, err := os.Stat(filepath.Dir(gone)); err == nil {
		t.Error("a refused bind left a directory")
	}
	isMade := func(when string) {
		t.Helper()
		info, err := os.Stat(gone)
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("create_host_path, %s: %v, %v", when, info, err)
		}
	}
	made, err := d.Mounts(ctx, []Use{{Kind: Bind, Source: gone, Target: "/x", CreateHostPath: true}})
	if err != nil {
		t.Fatal(err)
	}
	isMade("at the creation")
	kept, err := d.Mounts(ctx, []Use{{Kind: Bind, Source: gone, Target: "/x"}})
	if err != nil {
		t.Fatal(err)
	}

	if err := os.RemoveAll(filepath.Dir(gone)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Prepare(ctx, kept); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(gone)); err == nil {
		t.Error("a start has made a directory that may not be made")
	}
	if _, err := d.Prepare(ctx, made); err != nil {
		t.Fatal(err)
	}
	isMade("before a start")
}

// TestDockerSocket: where no dockerd listens its socket is this daemon's, whatever the file says of a missing source, and nothing is made there.
func TestDockerSocket(t *testing.T) {
	d, _ := newDriver(t)
	dir := t.TempDir()
	gone, there := filepath.Join(dir, "gone", "docker.sock"), filepath.Join(dir, "docker.sock")
	dockerSockets = append(dockerSockets, gone, there)
	t.Cleanup(func() { dockerSockets = dockerSockets[:len(dockerSockets)-2] })
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, create := range []bool{true, false} {
		for source, want := range map[string]string{gone: d.socket, there: there} {
			got, err := d.Mounts(t.Context(), []Use{{Kind: Bind, Source: source, Target: "/var/run/docker.sock", ReadOnly: true, CreateHostPath: create}})
			if err != nil || got[0].Source != want || got[0].Target != "/var/run/docker.sock" || !slices.Contains(got[0].Options, "rro") {
				t.Errorf("%s: %+v, %v; expected %s", source, got, err, want)
			}
		}
	}
	if _, err := os.Stat(filepath.Dir(gone)); err == nil {
		t.Error("something was made in the place of dockerd's socket")
	}
}

func TestMountsRefuse(t *testing.T) {
	d, _ := newDriver(t)
	for _, u := range []Use{
		{Kind: Bind, Source: "relative", Target: "/x"},
		{Kind: Bind, Source: "/", Target: "x"},
		{Kind: Bind, Source: "/", Target: "/x/../y"},
		{Kind: Bind, Source: "/", Target: "/x", Propagation: "odd"},
		{Kind: Bind, Source: "/", Target: "/x", Recursive: "readonly"},
		{Kind: Volume, Source: "none", Target: "/x"},
		{Kind: "npipe", Source: "/", Target: "/x"},
	} {
		if m, err := d.Mounts(context.Background(), []Use{u}); err == nil {
			t.Errorf("%+v: got %+v, expected an error", u, m)
		}
	}
}
