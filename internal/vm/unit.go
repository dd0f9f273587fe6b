package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// unitOptions are for systemd on the kernel's command line. It writes to the console: there is no journal.
const unitOptions = "systemd.unit=trial.target systemd.unified_cgroup_hierarchy=1 systemd.show_status=0 systemd.log_target=console systemd.log_level=warning " +
	"systemd.default_standard_output=tty"

//go:embed unit.sh
var unitScript []byte

// trialUnits run unit.sh once systemd is up.
var trialUnits = map[string]string{
	"trial.target":  "[Unit]\nWants=trial.service\n",
	"trial.service": "[Service]\nType=oneshot\nExecStart=/unit.sh\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\nTimeoutStartSec=infinity\n",
}

// testUnit boots this Debian's systemd, so the machine is of this host's architecture.
func testUnit(ctx context.Context, a arch) error {
	if a.goarch != runtime.GOARCH {
		return fmt.Errorf("-unit runs this host's systemd, which is for %s: leave -arch %s out", runtime.GOARCH, a.goarch)
	}
	return start(ctx, a, unitOptions, addUnit)
}

// addUnit fills root with this Debian's systemd, what `make install` installs, an image, and the trial. The machine tells one result.
func addUnit(root, _ string) (script string, results int, err error) {
	for _, program := range []string{"/lib/systemd/systemd", "/bin/systemctl"} {
		if err := copyProgram(root, program); err != nil {
			return "", 0, fmt.Errorf("%w (Debian: systemd)", err)
		}
	}
	// The targets that units are ordered by, without what a distribution hangs below them.
	targets, _ := filepath.Glob("/lib/systemd/system/*.target")
	for _, t := range targets {
		if err := copyFile(t, filepath.Join(root, t)); err != nil {
			return "", 0, err
		}
	}
	for unit, text := range trialUnits {
		if err := writeFile(filepath.Join(root, "etc/systemd/system", unit), []byte(text), 0o644); err != nil {
			return "", 0, err
		}
	}
	if err := writeFile(filepath.Join(root, "unit.sh"), unitScript, 0o755); err != nil {
		return "", 0, err
	}
	if out, err := exec.Command("make", "install", "DESTDIR="+root).CombinedOutput(); err != nil {
		return "", 0, fmt.Errorf("make install: %w\n%s", err, out)
	}
	return "#!/bin/sh\nexec /lib/systemd/systemd\n", 1, writeImage(filepath.Join(root, "bb.tar"))
}

func writeFile(name string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, mode)
}

// libraryLine is a line of ldd(1): what is to be where.
var libraryLine = regexp.MustCompile(`(?m)(/\S+) \(0x[0-9a-f]+\)$`)

// copyProgram copies a program and the libraries that it is linked with.
func copyProgram(root, program string) error {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	files := []string{program}
	for _, m := range libraryLine.FindAllStringSubmatch(string(out), -1) {
		files = append(files, m[1])
	}
	for _, f := range files {
		if err := copyFile(f, filepath.Join(root, f)); err != nil {
			return err
		}
	}
	return nil
}

// writeImage writes a docker archive of the image bb: busybox.
func writeImage(file string) error {
	dir, err := os.MkdirTemp("", "stack-vm-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyFile("/bin/busybox", filepath.Join(dir, "bin/busybox")); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "sleep", "true"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			return err
		}
	}
	layer := filepath.Join(filepath.Dir(file), "bb.layer")
	defer os.Remove(layer)
	if out, err := exec.Command("tar", "--create", "--file", layer, "--directory", dir, "bin").CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	l, err := tarball.LayerFromFile(layer)
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	ref, err := name.NewTag("bb:latest")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), tarball.WriteToFile(file, ref, image))
}
