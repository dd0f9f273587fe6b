// Package apt downloads packages of Debian, for any of its architectures, into a directory of the caller's. Test images (internal/testimage) and the virtual machines of
// internal/vm are made of them. The host's package database is neither read nor written.
package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Suite is the Debian that the packages are of.
const Suite = "bookworm"

// keyring verifies them. The file is the same on every Debian.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Apt is apt-get with its state, cache and sources below a directory, so that what it resolves does not
// depend on what the host has installed, and the host's lists stay as they are. Proxy settings of the
// host hold.
type Apt struct {
	dir  string
	arch string
}

// New reads the package lists for arch, which is Debian's name of it, into dir. One Apt at a time may use a directory: the lists are those of the last.
func New(ctx context.Context, dir, arch string) (*Apt, error) {
	if err := requireTools(); err != nil {
		return nil, err
	}
	a := &Apt{dir, arch}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "none/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	archive, security, err := archives(ctx, dir)
	if err != nil {
		return nil, err
	}
	var sources bytes.Buffer
	line := func(uri, suite string) {
		fmt.Fprintf(&sources, "deb [arch=%s signed-by=%s] %s %s main\n", a.arch, keyring, uri, suite)
	}
	line(archive, Suite)
	line(archive, Suite+"-updates")
	if security != "" {
		line(security, Suite+"-security")
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), sources.Bytes(), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "state/status"), nil, 0o644); err != nil {
		return nil, err
	}
	_, err = a.get(ctx, "update", "-qq")
	return a, err
}

func requireTools() error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not there: Debian packages are downloaded and unpacked on a Debian host", tool)
		}
	}
	if _, err := os.Stat(keyring); err != nil {
		return fmt.Errorf("%w; install debian-archive-keyring", err)
	}
	return nil
}

// archives are the addresses of Debian's archive and of its security archive: below STACK_TEST_DEBIAN_MIRROR, else where the host's own
// packages come from. A host may have no security archive: "".
func archives(ctx context.Context, dir string) (archive, security string, err error) {
	if mirror := strings.TrimSuffix(os.Getenv("STACK_TEST_DEBIAN_MIRROR"), "/"); mirror != "" {
		return mirror + "/debian", mirror + "/debian-security", nil
	}
	out, err := output(ctx, dir, "apt-get", "indextargets", "--format", "$(REPO_URI)")
	if err != nil {
		return "", "", err
	}
	for uri := range strings.FieldsSeq(string(out)) {
		switch uri = strings.TrimSuffix(uri, "/"); {
		case archive == "" && strings.HasSuffix(uri, "/debian"):
			archive = uri
		case security == "" && strings.HasSuffix(uri, "/debian-security"):
			security = uri
		}
	}
	if archive == "" {
		return "", "", errors.New("cannot find a Debian archive among apt's sources; name a mirror in STACK_TEST_DEBIAN_MIRROR")
	}
	return archive, security, nil
}

func (a *Apt) get(ctx context.Context, args ...string) ([]byte, error) {
	opts := []string{
		"-o", "Dir::State=" + a.dir + "/state",
		"-o", "Dir::State::status=" + a.dir + "/state/status",
		"-o", "Dir::Cache=" + a.dir + "/cache",
		"-o", "Dir::Etc::sourcelist=" + a.dir + "/sources.list",
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::Etc::preferences=/dev/null",
		"-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "APT::Architecture=" + a.arch,
		"-o", "APT::Architectures=" + a.arch,
		"-o", "APT::Install-Recommends=false",
		"-o", "APT::Sandbox::User=", // the cache directory is the caller's, which user _apt may not enter
		"-o", "Acquire::Retries=3",
	}
	return output(ctx, filepath.Join(a.dir, "cache/archives"), "apt-get", append(opts, args...)...)
}

// output runs a program in dir and returns its stdout; its stderr is in the error.
func output(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[len(args)-1], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// Fetch downloads those of packages, and of what they depend on, that are wanted by their name, and returns the files, sorted by name.
func (a *Apt) Fetch(ctx context.Context, packages []string, wanted func(name string) bool) ([]string, error) {
	// --print-uris leaves out what is in the archives already, so it is shown an empty directory.
	plan, err := a.get(ctx, append([]string{"-o", "Dir::Cache::archives=" + a.dir + "/none", "install", "-qq", "-y", "--print-uris"}, packages...)...)
	if err != nil {
		return nil, err
	}
	var want, debs []string
	for line := range strings.Lines(string(plan)) {
		// 'http://…/bash_5.2.15-2_amd64.deb' bash_5.2.15-2_amd64.deb 1490652 SHA256:…
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasSuffix(f[1], ".deb") {
			continue
		}
		name, rest, _ := strings.Cut(f[1], "_")
		version, _, _ := strings.Cut(rest, "_")
		if !wanted(name) {
			continue
		}
		version, err := url.PathUnescape(version)
		if err != nil {
			return nil, fmt.Errorf("cannot read apt's answer %q: %w", line, err)
		}
		want = append(want, name+"="+version)
		debs = append(debs, filepath.Join(a.dir, "cache/archives", path.Base(f[1])))
	}
	if len(want) == 0 {
		return nil, fmt.Errorf("apt-get found nothing to download for %v", packages)
	}
	// `download` takes exactly what it is given, where `install` would bring the others too. It writes to
	// its working directory, and keeps a file that is already there and right.
	if _, err := a.get(ctx, append([]string{"download", "-qq"}, want...)...); err != nil {
		return nil, err
	}
	slices.Sort(debs)
	for _, d := range debs {
		if _, err := os.Stat(d); err != nil {
			return nil, fmt.Errorf("apt-get download did not leave what it planned: %w", err)
		}
	}
	return debs, nil
}
