package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/stackrun/stack"

// wholeStack is the package that tests the built binary.
const wholeStack = module + "/internal/e2e"

// programs are what tests ask of sandbox.Program.
var programs = []struct{ goarch, pkg string }{
	{"amd64", module + "/cmd/stack-init"},
	{"amd64", module + "/runtime/seccomp/testdata/probe"},
	{"386", module + "/runtime/seccomp/testdata/probe"},
}

func buildPrograms(dir string) error {
	for _, p := range programs {
		if err := build("GOARCH="+p.goarch, "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, p.goarch, p.pkg), p.pkg); err != nil {
			return err
		}
	}
	return nil
}

func build(env string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// compiled is one test binary inside the machine, with the directory that it must run in and the tests wanted ("" = all).
type compiled struct{ pkg, dir, run string }

// compile builds the tests of patterns into root/t/<n>, each with its package's testdata beside it.
func compile(root string, patterns []string, run string) ([]compiled, error) {
	var tests []compiled
	for _, p := range patterns {
		pattern, own, _ := strings.Cut(p, ":")
		if own == "" {
			own = run
		}
		out, err := exec.Command("go", "list", "-f",
			"{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}", pattern).Output()
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
			if err := build("GOARCH=amd64", "test", "-c", "-o", filepath.Join(dir, "test"), pkg); err != nil {
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

// addStack gives the machine the built binary, the test images and the examples.
func addStack(root, cache string) error {
	bin, err := testedBinary()
	if err != nil {
		return err
	}
	if err := copyFile(bin, filepath.Join(root, "bin/stack")); err != nil {
		return err
	}
	// Layouts are named by the hash of their recipes; the tests know which is theirs.
	layouts, _ := filepath.Glob(filepath.Join(cache, "*", "index.json"))
	for _, l := range layouts {
		from := filepath.Dir(l)
		if err := os.CopyFS(filepath.Join(root, "images", filepath.Base(from)), os.DirFS(from)); err != nil {
			return err
		}
	}
	if len(layouts) == 0 {
		return fmt.Errorf("%s needs the test images: `make testimages` builds them", wholeStack)
	}
	// Its tests read the examples from the top of the repository, two directories above their own.
	if err := os.CopyFS(filepath.Join(root, "examples"), os.DirFS("examples")); err != nil {
		return err
	}
	return copyFile("go.mod", filepath.Join(root, "go.mod"))
}

func testedBinary() (string, error) {
	bin := os.Getenv("STACK_TEST_BIN")
	if bin == "" {
		return "", fmt.Errorf("STACK_TEST_BIN must name the binary to test: `make test-vm` builds it")
	}
	return bin, nil
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
