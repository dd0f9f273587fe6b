package e2e

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// dataArchive is an image under ref, as docker would save it, with a layer for each of layers: files by name, links as "-> TARGET".
func dataArchive(t *testing.T, ref string, layers ...map[string]string) string {
	t.Helper()
	return archiveFor(t, runtime.GOARCH, ref, layers...)
}

// archiveFor is dataArchive of an image for another architecture.
func archiveFor(t *testing.T, goarch, ref string, layers ...map[string]string) string {
	t.Helper()
	img := mutate.MediaType(empty.Image, "application/vnd.docker.distribution.manifest.v2+json")
	for _, files := range layers {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for file, content := range files {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: int64(len(content))}
			if strings.HasPrefix(content, elf.ELFMAG) {
				h.Mode = 0o755
			}
			if to, link := strings.CutPrefix(content, "-> "); link {
				*h, content = tar.Header{Typeflag: tar.TypeSymlink, Name: file, Linkname: to, Mode: 0o777}, ""
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: goarch, RootFS: rootFS(t, img)})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "data.tar")
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		t.Fatal(err)
	}
	return file
}

func rootFS(t *testing.T, img v1.Image) v1.RootFS {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.RootFS
}

// TestImageMount: an image beside the one that runs, read-only, whole and by subpath; its files and links are its own and the host's are out of
// reach; a newer one is a reason to make the container anew, and what is mounted is not removed.
func TestImageMount(t *testing.T) {
	p := compose(t, "imgm", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes:
      - {type: image, source: "data.test/files:1", target: /whole}
      - {type: image, source: "data.test/files:1", target: /part, image: {subpath: deep/inner}}
      - {type: image, source: "data.test/files:1", target: /one, image: {subpath: deep/inner/f}}
      - {type: image, source: "data.test/files:1", target: /linked, image: {subpath: to-etc}}
  lent:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes_from: [app]
`)
	first := dataArchive(t, "data.test/files:1",
		map[string]string{"deep/inner/f": "one", "deep/gone": "x", "etc/hostname": "the image's", "to-etc": "-> /etc"},
		map[string]string{"deep/.wh.gone": "", "deep/more": "two"})
	p.ok("load", "--input", first)
	p.up()
	equal(t, "the whole image", p.sh("app", "cat /whole/deep/inner/f /whole/deep/more; ls /whole /whole/deep"), "onetwo/whole:\ndeep\netc\nto-etc\n\n/whole/deep:\ninner\nmore")
	equal(t, "a subpath", p.sh("app", "ls /part; cat /part/f /one"), "f\noneone")
	equal(t, "a subpath that is a link", p.sh("app", "cat /linked/hostname"), "the image's")
	for _, at := range []string{"/whole/x", "/part/x", "/linked/x"} {
		if r := p.run("exec", "-T", "app", "touch", at); r.code == 0 || !strings.Contains(r.stderr, "Read-only file system") {
			t.Errorf("touch %s: %s", at, r)
		}
	}
	equal(t, "volumes_from", p.sh("lent", "cat /part/f"), "one")

	// The name moves: the old image stays for the container that has it mounted, and the next up is about the new one.
	app := p.runs("app")
	p.ok("load", "--input", dataArchive(t, "data.test/files:1", map[string]string{"deep/inner/f": "three", "to-etc": "-> deep"}))
	p.ok("gc")
	equal(t, "what is mounted after gc", p.sh("app", "cat /part/f"), "one")
	equal(t, "nothing is made anew without an up", p.runs("app"), app)
	plan := p.run("plan")
	contains(t, "plan", plan.stdout, "imgm-app-1", "image id of data.test/files:1")
	if plan.code != 2 {
		t.Errorf("%s", plan)
	}
	p.up()
	equal(t, "the new image", p.sh("app", "cat /part/f"), "three")
	if r := p.run("plan"); r.code != 0 {
		t.Errorf("after up there is something to do: %s", r)
	}
	contains(t, "down --rmi all", p.run("down", "--rmi", "all").stderr, "data.test/files:1")
}

// TestHealsImageMounts: one that other hands take away comes back.
func TestHealsImageMounts(t *testing.T) {
	p := compose(t, "imgh", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: [{type: image, source: busybox, target: /part, image: {subpath: bin}}]
`)
	p.up()
	app := p.runs("app")
	unmount(t, p.status(p.one("imgh-app-1").ID).Pid, "/part")
	p.changed("app", app)
	p.sh("app", "ls /part/busybox")
	p.eventually("no difference", func() bool { return p.run("drift").code == 0 })
}

// TestImageMountFaults: what cannot be mounted is said with its place, and leaves nothing.
func TestImageMountFaults(t *testing.T) {
	p := compose(t, "imgf", "services: {}\n")
	p.ok("load", "--input", dataArchive(t, "data.test/faults:1", map[string]string{"f": "x", "out": "-> ../../../../../../etc", "abs": "-> /proc/1/root/etc", "loop": "-> loop"}))
	file := func(source, image, policy string) string {
		return `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    pull_policy: ` + policy + `
    volumes:
      - type: image
        source: ` + source + `
        target: /x
        ` + image + `
`
	}
	for what, d := range map[string]struct {
		text string
		want []string
	}{
		"a subpath that is not there":        {file("data.test/faults:1", "image: {subpath: no/where}", "missing"), []string{"compose.yaml:8", "no/where", "subpath of the image at /x", "no such file or directory"}},
		"a subpath out of the image":         {file("data.test/faults:1", "image: {subpath: out}", "missing"), []string{"compose.yaml:8", "subpath of the image at /x", "no such file or directory"}},
		"a subpath by an absolute link":      {file("data.test/faults:1", "image: {subpath: abs}", "missing"), []string{"compose.yaml:8", "subpath of the image at /x", "no such file or directory"}},
		"a subpath in a circle":              {file("data.test/faults:1", "image: {subpath: loop}", "missing"), []string{"compose.yaml:8", "too many levels of symbolic links"}},
		"a subpath that is written to leave": {file("data.test/faults:1", "image: {subpath: ../etc}", "missing"), []string{"compose.yaml:11", "leaves the image"}},
		"an image that may not be pulled":    {file("redis:7", "", "never"), []string{"compose.yaml:9", "may not be pulled", "redis:7"}},
		"an image that nobody has":           {file("nobody/has:1", "", "missing"), []string{"compose.yaml:9", "nobody/has:1"}},
		"a name that is none":                {file("UPPER", "", "missing"), []string{"compose.yaml:9", "is not an image reference"}},
		"no source":                          {file(`""`, "", "missing"), []string{"has no source"}},
	} {
		p.write("compose.yaml", d.text)
		t.Run(what, func(t *testing.T) {
			r := p.run("up", "--detach")
			if r.code != 1 {
				t.Errorf("%s", r)
			}
			contains(t, "up", r.stderr, d.want...)
			if ps := p.ps(); len(ps) != 0 {
				t.Errorf("it left %v", ps)
			}
		})
	}
}

// TestImageMountIsPulled: by up and by pull, by the service's policy, like the image that the service runs.
func TestImageMountIsPulled(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "imgp", map[string]string{"compose.yaml": `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes:
      - type: image
        source: redis:7
        target: /redis
        read_only: false
`})
	contains(t, "plan", p.run("plan").stdout, "redis:7", "busybox")
	up := p.run("up", "--detach")
	if up.code != 0 {
		t.Fatal(up)
	}
	contains(t, "a mount that is to be writable", up.stderr, "compose.yaml:11", "always mounted read-only")
	p.sh("app", "ls -l $(find /redis/usr -name redis-server | head -n 1)")
	p.ok("down", "--rmi", "all")
	contains(t, "pull", p.run("pull").stderr, "redis:7", "busybox")
}
