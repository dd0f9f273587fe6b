package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/registry"
)

// machine is the sandbox that everything is measured in.
type machine struct {
	bin      string // of stack
	dir      string // a directory on the file system that is measured
	fs       string // which that is
	archive  string // docker-archive of the image `bench`
	registry string // host:port of a registry that has big:1
	running  []engine
	undo     *cleanup.Cleanup
}

func newMachine(ctx context.Context, bin, data string) (_ *machine, err error) {
	m := &machine{undo: cleanup.Make()}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if err := m.mount(ctx, data); err != nil {
		return nil, err
	}
	// As `make install` puts it there: a file that the linker has written page by page is in small pieces in the page cache, and each start of it
	// takes a millisecond longer.
	m.bin = filepath.Join(filepath.Dir(m.dir), "stack")
	if err := install(bin, m.bin); err != nil {
		return nil, fmt.Errorf("cannot measure: build it first with `make build`: %w", err)
	}
	if m.archive, err = writeArchive(ctx, m.dir); err != nil {
		return nil, fmt.Errorf("cannot make the image: %w", err)
	}
	layout, err := writeBig(m.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot make the large image: %w", err)
	}
	_, url, err := registry.Listen(layout)
	if err != nil {
		return nil, err
	}
	m.registry = strings.TrimPrefix(url, "http://")
	return m, nil
}

func (m *machine) close() { m.undo.Clean() }

// install is by the program that `make install` uses. How a file was written decides how large the pieces are that the page cache has of it, and Linux 6.18 maps the
// whole piece of a page that is touched: of one written at once 2 MiB.
func install(from, to string) error {
	_, err := output(exec.Command("install", "-m", "755", from, to))
	return err
}

// mount makes an ext4 with a journal in a file; where that cannot be, it is what data lies on.
func (m *machine) mount(ctx context.Context, data string) error {
	dir, err := os.MkdirTemp(data, "stack-bench-")
	if err != nil {
		return fmt.Errorf("cannot make a directory to measure in: %w", err)
	}
	m.undo.Add(func() { _ = os.RemoveAll(dir) })
	image, at := filepath.Join(dir, "ext4"), filepath.Join(dir, "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := makeExt4(ctx, image, at); err != nil {
		fmt.Fprintf(os.Stderr, "bench: state lies on %s itself, unpacking compares with other runs there only: %v\n", data, err)
		m.dir, m.fs = at, data
		return nil
	}
	m.undo.Add(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	m.dir, m.fs = at, "ext4, journaled, on a loop device"
	return nil
}

func makeExt4(ctx context.Context, image, at string) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(12<<30), f.Close()); err != nil {
		return err
	}
	for _, line := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line[0], err, out)
		}
	}
	return nil
}

// engines are all that are known, ours first; the ratios are to it.
func (m *machine) engines() []engine {
	return []engine{newStack(m), newDocker(m), newPodman(m), newOCIRuntime(m, "runc"), newOCIRuntime(m, "crun")}
}

// probe is the program of the containers, run on the host.
func (m *machine) probe(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(m.dir, "probe"), args...)
}
