package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/internal/testimage"
)

const module = "github.com/stackrun/stack"

// wholeStack is the package that tests the built binary.
const wholeStack = module + "/internal/e2e"

// programs are what tests ask of sandbox.Program: for the machine itself, and for its 32-bit programs.
var programs = []struct {
	pkg    string
	compat bool
}{
	{module + "/cmd/stack-init", false},
	{module + "/runtime/seccomp/testdata/probe", false},
	{module + "/runtime/seccomp/testdata/probe", true},
}

// builder builds for a machine.
type builder struct {
	arch
	overlay string // file of the go command's -overlay: the programs that others embed, for the machine
	stack   string // the command
}

// newBuilder builds stack below dir: its init program, the daemon's program with that in it, and the command with that one in it. The tree's own, which
// `make init` has built for this host, stay as they are.
func newBuilder(a arch, dir string) (*builder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b := &builder{a, filepath.Join(dir, "overlay.json"), filepath.Join(dir, "stack")}
	version := filepath.Join(dir, "version")
	if err := os.WriteFile(version, []byte("vm\n"), 0o644); err != nil {
		return nil, err
	}
	tree, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	replace := map[string]string{filepath.Join(tree, "cmd/stack/daemonprog/bin/version"): version}
	for _, p := range []struct{ cmd, embedded string }{
		{"stack-init", "runtime/initprog/bin/stack-init"},
		{"stack-daemon", "cmd/stack/daemonprog/bin/stack-daemon"},
		{"stack", ""},
	} {
		overlay, err := json.Marshal(map[string]any{"Replace": replace})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(b.overlay, overlay, 0o644); err != nil {
			return nil, err
		}
		exe := filepath.Join(dir, p.cmd)
		if err := b.build(b.goarch, "build", "-trimpath", "-ldflags=-s -w -X main.version=vm", "-o", exe, module+"/cmd/"+p.cmd); err != nil {
			return nil, err
		}
		replace[filepath.Join(tree, p.embedded)] = exe
	}
	return b, nil
}

// programs builds what tests ask for into dir.
func (b *builder) programs(dir string) error {
	for _, p := range programs {
		goarch := b.goarch
		if p.compat {
			goarch = b.compat
		}
		if err := b.build(goarch, "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, goarch, p.pkg), p.pkg); err != nil {
			return err
		}
	}
	return nil
}

// build runs a verb of the go command that compiles.
func (b *builder) build(goarch, verb string, args ...string) error {
	cmd := exec.Command("go", append([]string{verb, "-overlay", b.overlay}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("GOARCH=%s go %s %s: %w\n%s", goarch, verb, strings.Join(args, " "), err, out)
	}
	return nil
}

// compiled is one test binary inside the machine, with the directory that it must run in and the tests wanted ("" = all).
type compiled struct{ pkg, dir, run string }

// compile builds the tests of patterns into root/t/<n>, each with its package's testdata beside it.
func (b *builder) compile(root string, patterns []string, run string) ([]compiled, error) {
	var tests []compiled
	for _, p := range patterns {
		pattern, own, _ := strings.Cut(p, ":")
		if own == "" {
			own = run
		}
		list := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}", pattern)
		list.Env = append(os.Environ(), "GOARCH="+b.goarch)
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w", pattern, err)
		}
		for line := range strings.Lines(string(out)) {
			pkg, src, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				continue
			}
			dir := filepath.Join(root, "t", fmt.Sprint(len(tests)))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
			if err := b.build(b.goarch, "test", "-c", "-o", filepath.Join(dir, "test"), pkg); err != nil {
				return nil, err
			}
			if data := filepath.Join(src, "testdata"); isDir(data) {
				if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS(data)); err != nil {
					return nil, err
				}
			}
			tests = append(tests, compiled{pkg, fmt.Sprintf("/t/%d", len(tests)), own})
		}
	}
	if len(tests) == 0 {
		return nil, errors.New("no package has tests")
	}
	return tests, nil
}

// addStack gives the machine the command, the test images and the examples.
func (b *builder) addStack(ctx context.Context, root, cache string) error {
	if err := copyFile(b.stack, filepath.Join(root, "bin/stack")); err != nil {
		return err
	}
	images, err := testimage.Build(ctx, cache, b.goarch, func(step string) { fmt.Fprintln(os.Stderr, "vm:", step) })
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(root, "images", filepath.Base(images)), os.DirFS(images)); err != nil {
		return err
	}
	// Its tests read the examples from the top of the repository, two directories above their own.
	if err := os.CopyFS(filepath.Join(root, "examples"), os.DirFS("examples")); err != nil {
		return err
	}
	return copyFile("go.mod", filepath.Join(root, "go.mod"))
}

// copyFile copies a file with its mode, making the directories that it lies in.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

func isDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}
