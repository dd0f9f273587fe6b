package failpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stackrun/stack/internal/failpoint"
)

// TestHitsAreNothingWithoutTheTag: the package as every user's binary has it.
func TestHitsAreNothingWithoutTheTag(t *testing.T) {
	if failpoint.Enabled {
		t.Skip("SKIP: this test binary is built with failpoints")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	t.Setenv("STACK_FAILPOINT", "x#1")
	t.Setenv("STACK_FAILPOINT_TRACE", trace)
	failpoint.Hit("x")
	if _, err := os.Stat(trace); err == nil {
		t.Error("a hit was traced")
	}
	if n := testing.AllocsPerRun(100, func() { failpoint.Hit("x") }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}

// TestTheNthHitKills: with the tag the process dies of SIGKILL at just the hit that was asked for.
func TestTheNthHitKills(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: builds a program, for which the run as root has Go's cache")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Outside of this module nobody can import it: an overlay puts the program below this package.
	write("main.go", `package main

import "github.com/stackrun/stack/internal/failpoint"

func main() {
	for _, name := range []string{"a", "b", "a", "b", "a"} {
		failpoint.Hit(name)
	}
}
`)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	write("overlay.json", `{"Replace": {"`+filepath.Join(here, "hits", "main.go")+`": "`+filepath.Join(dir, "main.go")+`"}}`)
	bin := filepath.Join(dir, "hits")
	build := exec.Command("go", "build", "-tags", "failpoint", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin, "./hits")
	if out, err := build.CombinedOutput(); err != nil {
		if _, err := exec.LookPath("go"); err != nil {
			t.Skip("SKIP: no Go toolchain")
		}
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tt := range []struct {
		point, trace string
		killed       bool
	}{
		{"a#2", "a b a", true},
		{"b#2", "a b a b", true},
		{"b", "a b", true},
		{"a#4", "a b a b a", false},
		{"", "a b a b a", false},
	} {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(bin)
		cmd.Env = []string{"STACK_FAILPOINT=" + tt.point, "STACK_FAILPOINT_TRACE=" + trace}
		cmd.Run() //nolint:errcheck // how it ended is looked at next
		ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if killed := ws.Signaled() && ws.Signal() == syscall.SIGKILL; killed != tt.killed {
			t.Errorf("%q: it ended with %v", tt.point, cmd.ProcessState)
		}
		b, err := os.ReadFile(trace)
		if got := strings.Join(strings.Fields(string(b)), " "); err != nil || got != tt.trace {
			t.Errorf("%q: traced %q, %v; expected %q", tt.point, got, err, tt.trace)
		}
	}
}
