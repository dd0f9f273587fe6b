package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ProgramsEnv names a directory of programs that were built before, <goarch>/<import path>, for machines without the Go
// toolchain: internal/vm fills one.
const ProgramsEnv = "STACK_TEST_PROGRAMS"

// Program is the path of the command pkg (an import path of this module) built for goarch, without cgo. It is as old as the
// test binary: built now, or with it.
func Program(t testing.TB, goarch, pkg string) string {
	t.Helper()
	if dir := os.Getenv(ProgramsEnv); dir != "" {
		exe := filepath.Join(dir, goarch, pkg)
		if _, err := os.Stat(exe); err != nil {
			t.Fatalf("%s is not among the programs that were built before: name it in internal/vm (%v)", pkg, err)
		}
		return exe
	}
	exe := filepath.Join(t.TempDir(), filepath.Base(pkg))
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", exe, pkg)
	build.Env = append(os.Environ(), "GOARCH="+goarch, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s for %s: %v\n%s", pkg, goarch, err, out)
	}
	return exe
}
