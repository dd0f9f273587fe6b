package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall: make install puts what it says, and nothing else, below DESTDIR; the unit is one that systemd takes. (How the unit behaves is
// tried in a machine with systemd: make test-vm.)
func TestInstall(t *testing.T) {
	bin := binary(t)
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("SKIP: there is no make")
	}
	dest := t.TempDir()
	// -o build: the binary under test is there, and is what is installed.
	cmd := exec.Command("make", "-o", "build", "STACK="+bin, "DESTDIR="+dest, "PREFIX=/usr", "install")
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	var files []string
	err := filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, err := d.Info()
			if err != nil {
				return err
			}
			files = append(files, info.Mode().String()+" "+strings.TrimPrefix(path, dest))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what is installed", sorted(files), sorted([]string{
		"-rwxr-xr-x /usr/bin/stack",
		"-rw-r--r-- /usr/lib/systemd/system/stack.service",
		"-rw-r--r-- /usr/share/bash-completion/completions/stack",
		"-rw-r--r-- /usr/share/fish/vendor_completions.d/stack.fish",
		"-rw-r--r-- /usr/share/zsh/site-functions/_stack",
	}))
	version, err := exec.Command(filepath.Join(dest, "usr/bin/stack"), "version", "--short").Output()
	if err != nil || len(version) == 0 {
		t.Errorf("the installed binary: %v, %q", err, version)
	}
	for file, word := range map[string]string{"bash-completion/completions/stack": "__start_stack", "zsh/site-functions/_stack": "#compdef stack", "fish/vendor_completions.d/stack.fish": "complete -c stack"} {
		b, err := os.ReadFile(filepath.Join(dest, "usr/share", file))
		if err != nil || !strings.Contains(string(b), word) {
			t.Errorf("%s: no %q in it: %v", file, word, err)
		}
	}
	unit := filepath.Join(dest, "usr/lib/systemd/system/stack.service")
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "the unit", string(b), "ExecStart=/usr/bin/stack daemon\n", "KillMode=process\n", "Delegate=yes\n", "Type=notify\n")
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("no systemd-analyze: what systemd says of the unit was not asked")
		return
	}
	// It looks for the program at its place; the one below DESTDIR stands for it.
	local := filepath.Join(t.TempDir(), "stack.service")
	write(t, local, strings.ReplaceAll(string(b), "/usr/bin/stack", filepath.Join(dest, "usr/bin/stack")))
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", local).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
