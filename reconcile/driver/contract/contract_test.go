package contract_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/driver/contract"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/volume"
)

var (
	_ driver.Images     = (*image.Store)(nil)
	_ driver.Networks   = (*network.Driver)(nil)
	_ driver.Volumes    = (*volume.Driver)(nil)
	_ driver.Containers = (*runtime.Driver)(nil)
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memory is the fake as a contract.Host.
type memory struct{ *fake.Host }

func (m memory) Open(*testing.T) driver.Set { return m.Set() }
func (m memory) Kill(*testing.T)            {}
func (m memory) Image() string              { return "bb:1" }

func (m memory) Damage(t *testing.T, how contract.Damage, what string) {
	_, id, _ := strings.Cut(what, "@")
	switch how {
	case contract.BridgeRemoved:
		m.DamageNetwork(id, string(how))
	case contract.OffTheBridge:
		m.DamageSandbox(id, string(how))
	case contract.DataRemoved:
		m.DamageVolume(id, string(how))
	case contract.PidsUnlimited, contract.ScratchUnmounted:
		m.DamageContainer(what, string(how), how == contract.ScratchUnmounted)
	default:
		t.Fatalf("unknown damage %q", how)
	}
}

func TestFake(t *testing.T) {
	contract.Run(t, func(*testing.T) contract.Host {
		h := memory{fake.New()}
		h.AddImage("bb:1", v1.Config{Cmd: []string{"sh"}})
		h.Program = func(c runtime.Config) fake.Program {
			args := c.Spec.Process.Args
			if args[0] == "/missing" {
				return fake.Program{StartError: errors.New("no such file")}
			}
			if code, ok := exitOf(args); ok {
				return fake.Program{For: time.Millisecond, Code: code}
			}
			return fake.Program{IgnoreTerm: args[0] == "sleep"} // as every process 1 without a handler
		}
		h.ExecResult = func(_ runtime.Config, p runtime.Process) (int, time.Duration, string) {
			if code, ok := exitOf(p.Args); ok {
				return code, 0, ""
			}
			return 0, time.Hour, ""
		}
		return h
	})
}

// exitOf reads "sh -c 'exit N'".
func exitOf(args []string) (int, bool) {
	text, ok := strings.CutPrefix(args[len(args)-1], "exit ")
	code, _ := strconv.Atoi(text)
	return code, ok
}

// kernel is the real drivers on roots of their own in the test's sandbox.
type kernel struct {
	roots roots.Roots
	close []func()
}

func (k *kernel) Image() string { return "bb:1" }

func (k *kernel) Open(t *testing.T) driver.Set {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	images, err := image.Open(ctx, image.Options{Roots: k.roots})
	must(t, err)
	volumes, err := volume.New(k.roots, 0, func(text string) { t.Log(text) })
	must(t, err)
	networks, err := network.New(ctx, network.Options{Roots: k.roots})
	must(t, err)
	containers, err := runtime.New(ctx, runtime.Options{Roots: k.roots})
	must(t, err)
	builder, err := build.New(ctx, build.Options{Roots: k.roots, Images: images, Containers: containers, Networks: networks})
	must(t, err)
	k.close = []func(){
		func() { must(t, builder.Close(ctx)) },
		func() { must(t, containers.Close()) },
		func() { must(t, networks.Close(ctx)) },
		func() { must(t, images.Close(ctx)) },
	}
	return driver.Set{Images: images, Volumes: volumes, Networks: networks, Containers: containers, Builder: builder}
}

// Kill lets go of everything without taking anything down, which is all that a kill leaves out: records are written when
// things happen, not at the end.
func (k *kernel) Kill(*testing.T) {
	for _, f := range k.close {
		f()
	}
	k.close = nil
}

func (k *kernel) Damage(t *testing.T, how contract.Damage, what string) {
	t.Helper()
	what, _, _ = strings.Cut(what, "@")
	switch how {
	case contract.BridgeRemoved:
		l, err := netlink.LinkByName(what)
		must(t, err)
		must(t, netlink.LinkDel(l))
	case contract.OffTheBridge:
		l, err := netlink.LinkByName(what)
		must(t, err)
		must(t, netlink.LinkSetNoMaster(l))
	case contract.DataRemoved:
		must(t, os.RemoveAll(what))
	case contract.PidsUnlimited:
		for _, pattern := range []string{"/sys/fs/cgroup/*/*/", "/sys/fs/cgroup/*/"} {
			files, err := filepath.Glob(pattern + what + "/pids.max")
			must(t, err)
			for _, f := range files {
				must(t, os.WriteFile(f, []byte("max"), 0))
			}
		}
	case contract.ScratchUnmounted:
		b, err := os.ReadFile(filepath.Join(k.roots.InRun("containers", what), "status.json"))
		must(t, err)
		var s struct{ Pid int }
		must(t, json.Unmarshal(b, &s))
		out, err := exec.Command(sandbox.Tool(t, "nsenter"), "--target", strconv.Itoa(s.Pid), "--mount", "--", "/bin/busybox", "umount", "/scratch").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	default:
		t.Fatalf("unknown damage %q", how)
	}
}

func TestKernel(t *testing.T) {
	sandbox.Require(t)
	archive := busybox(t)
	contract.Run(t, func(t *testing.T) contract.Host {
		dir, err := os.MkdirTemp("/run", "contract-")
		must(t, err)
		t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
		sandbox.LeavesNothing(t)
		k := &kernel{roots: roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}}
		set := k.Open(t)
		_, err = set.Images.Load(t.Context(), bytes.NewReader(archive), nil)
		must(t, err)
		k.Kill(t)
		t.Cleanup(func() { k.Kill(t) })
		return k
	})
}

// busybox is an image archive of that program.
func busybox(t *testing.T) []byte {
	t.Helper()
	program, err := os.ReadFile(sandbox.Tool(t, "busybox"))
	must(t, err)
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"bin/", "etc/", "dev/", "proc/", "sys/", "tmp/"} {
		must(t, w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}))
	}
	must(t, w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}))
	_, err = w.Write(program)
	must(t, err)
	for _, applet := range []string{"sh", "sleep", "cat", "ls", "ps"} {
		must(t, w.WriteHeader(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}))
	}
	must(t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	must(t, err)
	img, err := mutate.AppendLayers(empty.Image, l)
	must(t, err)
	file, err := img.ConfigFile()
	must(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", goruntime.GOARCH
	file.Config.Cmd, file.Config.Env = []string{"sh"}, []string{"PATH=/bin"}
	img, err = mutate.ConfigFile(img, file)
	must(t, err)
	tag, err := name.NewTag("bb:1")
	must(t, err)
	var out bytes.Buffer
	must(t, tarball.Write(tag, img, &out))
	return out.Bytes()
}
