package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/basespec"
)

// ociRuntime is a program with the standard runtime command line, for a container's life.
type ociRuntime struct {
	none
	program, dir string
	lives        int
}

func newOCIRuntime(m *machine, program string) *ociRuntime {
	return &ociRuntime{program: program, dir: filepath.Join(m.dir, program)}
}

func (o *ociRuntime) name() string { return o.program }

func (o *ociRuntime) version() string {
	out, _ := output(exec.Command(o.program, "--version"))
	first, _, _ := strings.Cut(out, "\n")
	return first[strings.LastIndexByte(first, ' ')+1:]
}

// start writes the bundle and tries it once: not every runtime knows every kind of host.
func (o *ociRuntime) start(ctx context.Context) error {
	if err := look(o.program); err != nil {
		return err
	}
	for _, d := range []string{"lower", "rootfs"} {
		if err := os.MkdirAll(filepath.Join(o.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := unpackBusybox(filepath.Join(o.dir, "lower")); err != nil {
		return err
	}
	spec := basespec.New()
	spec.Process.Args = []string{"/bin/true"}
	spec.Root = &specs.Root{Path: "rootfs"}
	spec.Version = "1.0.2" // older programs refuse a later one, of which this uses nothing
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.dir, "config.json"), raw, 0o644); err != nil {
		return err
	}
	_, err = o.life(ctx)
	return err
}

func (o *ociRuntime) stop() {}

// life is `run`, which makes, starts, awaits and removes it; with the overlay that an engine would have mounted.
func (o *ociRuntime) life(ctx context.Context) (time.Duration, error) {
	o.lives++
	upper, work := filepath.Join(o.dir, fmt.Sprint("upper", o.lives)), filepath.Join(o.dir, fmt.Sprint("work", o.lives))
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return 0, err
		}
	}
	root := filepath.Join(o.dir, "rootfs")
	start := time.Now()
	if err := unix.Mount("overlay", root, "overlay", 0, "lowerdir="+filepath.Join(o.dir, "lower")+",upperdir="+upper+",workdir="+work); err != nil {
		return 0, err
	}
	_, err := output(exec.CommandContext(ctx, o.program, "run", "--bundle", o.dir, fmt.Sprint("life", o.lives)))
	if e := unix.Unmount(root, 0); err == nil {
		err = e
	}
	return time.Since(start), err
}

// unpackBusybox makes a root file system of busybox alone.
func unpackBusybox(dir string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	body, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	for _, d := range []string{"bin", "dev", "proc", "sys", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), body, 0o755); err != nil {
		return err
	}
	return os.Symlink("busybox", filepath.Join(dir, "bin/true"))
}
