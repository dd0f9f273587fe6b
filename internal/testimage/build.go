package testimage

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/apt"
)

// refAnnotation names an image in the layout's index.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md#pre-defined-annotation-keys
const refAnnotation = "org.opencontainers.image.ref.name"

// format changes when the code that turns a recipe into an image does.
const format = "4"

// Build makes the layout for goarch in cache unless it is there, and returns its directory. Two builds at once
// are one. progress receives one line per step. Debian has the same name for amd64 and arm64, the machines that the images are made for.
func Build(ctx context.Context, cache, goarch string, progress func(string)) (string, error) {
	dir, err := dirIn(cache, goarch)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err == nil {
		return dir, nil
	}
	// The name appears when the layout is whole: a build that was stopped leaves only a tmp-*, swept here.
	stale, _ := filepath.Glob(filepath.Join(cache, "tmp-*"))
	for _, s := range stale {
		os.RemoveAll(s)
	}
	tmp, err := os.MkdirTemp(cache, "tmp-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := build(ctx, cache, tmp, goarch, progress); err != nil {
		return "", fmt.Errorf("cannot build the test images: %w", err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func build(ctx context.Context, cache, dir, goarch string, progress func(string)) error {
	progress("reading the package lists of Debian " + apt.Suite + " for " + goarch)
	packages, err := apt.New(ctx, filepath.Join(cache, "apt"), goarch)
	if err != nil {
		return err
	}
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	baseDebs, err := packages.Fetch(ctx, base.Packages, base.wants)
	if err != nil {
		return err
	}
	baseLayer, err := makeLayer(ctx, goarch, base, baseDebs, nil)
	if err != nil {
		return err
	}
	for _, r := range append([]Recipe{base}, recipes...) {
		progress("making " + strings.Join(r.Refs, ", "))
		var layers []v1.Layer
		if !r.NoBase {
			layers = append(layers, baseLayer)
		}
		if !slices.Equal(r.Refs, base.Refs) {
			debs, err := packages.Fetch(ctx, r.Packages, r.wants)
			if err != nil {
				return err
			}
			if !r.NoBase {
				debs = slices.DeleteFunc(debs, func(d string) bool { return slices.Contains(baseDebs, d) })
			}
			l, err := makeLayer(ctx, goarch, r, debs, &base)
			if err != nil {
				return err
			}
			layers = append(layers, l)
		}
		img, err := makeImage(r, goarch, layers)
		if err != nil {
			return err
		}
		for _, ref := range r.Refs {
			if err := out.AppendImage(img, layout.WithAnnotations(map[string]string{refAnnotation: ref})); err != nil {
				return err
			}
		}
	}
	return nil
}

func makeLayer(ctx context.Context, goarch string, r Recipe, debs []string, on *Recipe) (v1.Layer, error) {
	t := tree{}
	for _, deb := range debs {
		if err := t.addPackage(ctx, deb, r.OmitPath); err != nil {
			return nil, err
		}
	}
	if on == nil || r.NoBase {
		if !r.NoBase {
			for _, m := range merged[:3] {
				t.link(m, "usr/"+m)
			}
			if goarch == "amd64" { // the path of its dynamic linker
				t.link("lib64", "usr/lib64")
			}
		}
		t.file("etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files dns\n"))
	}
	t.file("etc/passwd", 0o644, passwd(r.Users))
	t.file("etc/group", 0o644, group(r.Users))
	for _, d := range r.Dirs {
		t.dir(d)
	}
	for _, f := range r.Files {
		body, err := f.content()
		if err != nil {
			return nil, err
		}
		t.file(f.Path, f.Mode, body)
	}
	for name, target := range r.Links {
		t.link(name, target)
	}
	if e := t["usr/bin/busybox"]; e != nil {
		if err := linkApplets(ctx, t, goarch, e.body); err != nil {
			return nil, err
		}
	}
	var raw bytes.Buffer
	if err := t.write(&raw); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw.Bytes())), nil },
		tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer))
}

// linkApplets makes a hard link for each program that busybox says it can be, in /bin as the public image has it.
func linkApplets(ctx context.Context, t tree, goarch string, program []byte) error {
	applets, err := listApplets(ctx, goarch, program)
	if err != nil {
		return fmt.Errorf("cannot list the programs in busybox: %w", err)
	}
	busybox := t["usr/bin/busybox"]
	delete(t, "usr/bin/busybox")
	delete(t, "usr/bin")
	busybox.Name = "bin/busybox"
	t["bin/busybox"] = busybox
	t.dir(Dir{Path: "bin", Mode: 0o755})
	t.dir(Dir{Path: "usr/bin", Mode: 0o755})
	for _, a := range applets {
		if name := "bin/" + a; a != "busybox" {
			t[name] = &entry{Header: busybox.Header}
			t[name].Typeflag, t[name].Name, t[name].Linkname = '1', name, "bin/busybox"
		}
	}
	t.link("usr/bin/env", "/bin/env") // for scripts that begin with #!/usr/bin/env
	return nil
}

// listApplets asks busybox for the names of its programs: this one, or the host's, which Debian makes of the same list, when this one is for another machine.
func listApplets(ctx context.Context, goarch string, program []byte) ([]string, error) {
	exe := "/bin/busybox"
	if goarch == runtime.GOARCH {
		f, err := os.CreateTemp("", "busybox-*")
		if err != nil {
			return nil, err
		}
		exe = f.Name()
		defer os.Remove(exe)
		if _, err := f.Write(program); err != nil {
			return nil, err
		}
		if err := f.Chmod(0o700); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil { // ETXTBSY while it is open for writing
			return nil, err
		}
	}
	out, err := exec.CommandContext(ctx, exe, "--list").Output()
	return strings.Fields(string(out)), err
}

func makeImage(r Recipe, goarch string, layers []v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	var adds []mutate.Addendum
	for _, l := range layers {
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "internal/testimage"}})
	}
	img, err := mutate.Append(img, adds...)
	if err != nil {
		return nil, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.Architecture, cfg.OS, cfg.Created, cfg.Config = goarch, "linux", v1.Time{Time: epoch}, r.Config
	return mutate.ConfigFile(img, cfg)
}

var systemUsers = []User{
	{"root", 0, 0, "/root", "/bin/sh"},
	{"daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"},
	{"mail", 8, 8, "/var/mail", "/usr/sbin/nologin"},
	{"www-data", 33, 33, "/var/www", "/usr/sbin/nologin"},
	{"nobody", 65534, 65534, "/nonexistent", "/usr/sbin/nologin"},
}

func passwd(users []User) []byte {
	var b bytes.Buffer
	for _, u := range append(slices.Clone(systemUsers), users...) {
		fmt.Fprintf(&b, "%s:x:%d:%d::%s:%s\n", u.Name, u.UID, u.GID, u.Home, u.Shell)
	}
	return b.Bytes()
}

func group(users []User) []byte {
	var b bytes.Buffer
	for _, u := range append(slices.Clone(systemUsers), users...) {
		name := u.Name
		if name == "nobody" {
			name = "nogroup"
		}
		fmt.Fprintf(&b, "%s:x:%d:\n", name, u.GID)
	}
	b.WriteString("tty:x:5:\nadm:x:4:\nstaff:x:50:\nusers:x:100:\n")
	return b.Bytes()
}

// hash changes with the machine, every recipe, file and the format.
func hash(goarch string) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode([]any{format, apt.Suite, goarch, base, recipes, dropped}); err != nil {
		return "", err
	}
	err := fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(p)
		fmt.Fprintf(h, "%s %d\n%s", p, len(b), b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}
