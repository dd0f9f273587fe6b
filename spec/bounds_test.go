package spec_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stackrun/stack/spec"
)

func loadText(text string, more fstest.MapFS) (*spec.Project, error) {
	fsys := fstest.MapFS{"srv/compose.yaml": {Data: []byte(text)}}
	for k, v := range more {
		fsys[k] = v
	}
	p, list := spec.Load(context.Background(), spec.Input{FS: fsys, Files: []string{"/srv/compose.yaml"}, Dir: "/srv"})
	return p, list.Err()
}

// hostile are projects made to be expensive, by name: files by path, compose.yaml being the first. What each fault must say
// is with it.
func hostile() map[string]func() (files fstest.MapFS, says string) {
	one := func(says string, text ...string) func() (fstest.MapFS, string) {
		return func() (fstest.MapFS, string) {
			return fstest.MapFS{"srv/compose.yaml": {Data: []byte(strings.Join(text, ""))}}, says
		}
	}
	const web = "services: {web: {image: x"
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	all := map[string]func() (fstest.MapFS, string){
		"alias bomb":         bomb,
		"large scalar":       one("", web, ", labels: {a: \"", many("x", 4<<20-100), "\"}}}"),
		"larger scalar":      one("cannot read file", web, ", labels: {a: \"", many("x", 10<<20), "\"}}}"),
		"larger file":        one("cannot read file", "# ", many("x", 10<<20)),
		"deep flow":          one("", "x: ", many("[", 100000)),
		"many values":        one("compose.yaml:1:1", "x: [", many("a,", 190_000), "]\n", web, "}}"),
		"too many values":    one("too large", "x: [", many("a,", 1<<20), "]\n", web, "}}"),
		"deep mapping":       one("", "x: ", many("{a: ", 5000), many("}", 5000)),
		"deep blocks":        one("", many("- ", 20000), "x"),
		"deep references":    one("invalid interpolation", "services: {web: {image: \"", many("${A:-", 1000), many("}", 1000), "\"}}"),
		"unclosed":           one("invalid interpolation", "services: {web: {image: \"", many("${A:-", 1000), "\"}}"),
		"itself by extends":  one("cycle", "services: {web: {extends: {file: compose.yaml, service: web}}}"),
		"itself by include":  one("cycle", "include: [compose.yaml]\n", web, "}}"),
		"a ring of includes": chain(5, "include: [f%d.yaml]", "include: [compose.yaml]", "cycle"),
		"ranges of ports":    one("project too large", "x: &p [\"1-65535\"]\nservices: {", portRanges(100), "}"),
		"doubling includes":  chain(40, "include: [f%d.yaml, f%[1]d.yaml]", "", "project too large"),
		"growing lists":      growingLists,
		"a large base":       largeBase,
		"device as env file": one("no such file", web, ", env_file: [/dev/zero]}}"),
		"no env file":        one("compose.yaml:1:39: cannot read file: /srv/none.env: no such file", web, ", env_file: [none.env]}}"),
		"required variable":  one("compose.yaml:1:26: required variable not set: required variable A is missing a value: say which", "services: {web: {image: \"${A:?say which}\"}}"),
		"bytes":              one("compose.yaml:1:", "services: {web: {image: \"\xff\xfe\"}}"),
	}
	maps.Copy(all, crowds())
	return all
}

// portRanges are n services that have each port there is.
func portRanges(n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf("s%d: {image: x, ports: *p}, ", i)
	}
	return text
}

func bomb() (fstest.MapFS, string) {
	text := "x-a: &a [" + strings.Repeat("l, ", 50) + "l]\n"
	for c := 'b'; c < 'k'; c++ {
		text += fmt.Sprintf("x-%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 20), c-1)
	}
	return fstest.MapFS{"srv/compose.yaml": {Data: []byte(text)}}, "too many aliases"
}

// chain is n files of which each names the next, the last says last.
func chain(n int, next, last, says string) func() (fstest.MapFS, string) {
	return func() (fstest.MapFS, string) {
		files := fstest.MapFS{}
		for i := range n {
			name, text := fmt.Sprintf("srv/f%d.yaml", i), fmt.Sprintf(next, i+1)
			if i == 0 {
				name = "srv/compose.yaml"
			}
			if i == n-1 {
				text = last
			}
			files[name] = &fstest.MapFile{Data: []byte(text + "\nservices: {a: {image: x}}\n")}
		}
		return files, says
	}
}

// growingLists includes files whose lists become one.
func growingLists() (fstest.MapFS, string) {
	files, list := fstest.MapFS{}, "include: ["
	for i := range 40 {
		list += fmt.Sprintf("g%d.yaml, ", i)
		files[fmt.Sprintf("srv/g%d.yaml", i)] = &fstest.MapFile{Data: []byte("x-list: [" + strings.Repeat("a,", 100_000) + "]\nservices: {a: {image: x}}")}
	}
	files["srv/compose.yaml"] = &fstest.MapFile{Data: []byte(list + "]\nservices: {a: {image: x}}")}
	return files, "project too large"
}

// largeBase has a service with as many values as a file may get by aliases, which many extend.
func largeBase() (fstest.MapFS, string) {
	base := "x-a: &a [" + strings.Repeat("l, ", 400) + "l]\nservices:\n  base:\n    image: x\n    x-b: [" + strings.Repeat("*a, ", 400) + "*a]\n"
	many := "services:\n"
	for i := range 1000 {
		many += fmt.Sprintf("  s%d: {extends: {file: large.yaml, service: base}}\n", i)
	}
	return fstest.MapFS{"srv/compose.yaml": {Data: []byte(many)}, "srv/large.yaml": {Data: []byte(base)}}, "project too large"
}

// most is what the processor may take: far above the half a second that each case does, far below the minutes of one that looks
// at everything for everything.
const most = 20 * time.Second

// TestBounds: input made to be expensive is refused, with its place, and takes no more than 200 MB. Each case is a process of
// its own, with the settings of the command: the kernel says how much it had.
func TestBounds(t *testing.T) {
	for name, project := range hostile() {
		t.Run(name, func(t *testing.T) {
			_, says := project()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestBoundsChild$")
			cmd.Env = append(os.Environ(), "STACK_BOUNDS="+name)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			fault, _, _ := strings.Cut(string(out), "\nPASS")
			if !strings.HasPrefix(fault, "/srv/") || !strings.Contains(fault, says) || strings.Count(fault, "\n") > 1000 {
				t.Errorf("%.2000s: expected %q at a place", fault, says)
			}
			for line := range strings.Lines(fault) {
				if len(line) > 2300 {
					t.Errorf("a fault of %d bytes: %.2000s", len(line), line)
				}
			}
			u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			took := time.Duration(u.Utime.Nano() + u.Stime.Nano())
			t.Logf("%v of CPU time, %d MiB", took, u.Maxrss>>10)
			if took > most {
				t.Errorf("took %v: the work grows faster than the file", took)
			}
			if u.Maxrss > 200<<10 {
				t.Errorf("took %d MiB", u.Maxrss>>10)
			}
		})
	}
	merges := "x-a: &a {k: v}\n"
	for i := range 40 {
		merges += fmt.Sprintf("x-%d: &m%d\n  <<: [*a, *a, *a]\n  k%d: *a\n", i, i, i)
	}
	if p, err := loadText(merges+"services: {web: {image: x}}", nil); p == nil {
		t.Errorf("many small merge keys are refused: %v", err)
	}
}

// TestBoundsChild is the process of a case of TestBounds.
func TestBoundsChild(t *testing.T) {
	name := os.Getenv("STACK_BOUNDS")
	if name == "" {
		t.Skip("only as the child of TestBounds")
	}
	debug.SetGCPercent(400) // as the command has it
	debug.SetMemoryLimit(150 << 20)
	files, _ := hostile()[name]()
	p, list := spec.Load(context.Background(), spec.Input{FS: files, Files: []string{"/srv/compose.yaml"}, Dir: "/srv"})
	if p != nil {
		t.Fatal("it loads")
	}
	fmt.Println(list.Err())
}

// TestOddFiles: what is not a readable regular file is named as what it is, and nothing blocks.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{dir: "it is a directory", filepath.Join(dir, "pipe"): "not a regular file", filepath.Join(dir, "none"): "no such file", "/dev/zero": "not a regular file", "/dev/null": "empty compose file"} {
		_, list := spec.Load(context.Background(), spec.Input{FS: os.DirFS("/"), Files: []string{file}, Dir: dir})
		if err := list.Err(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), file) {
			t.Errorf("%s: %v, expected %q with the path", file, err, want)
		}
	}
}

// growing is a file that is larger than it says.
type growing struct{ fs.File }

func (g growing) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

type growingFS struct{ fs.FS }

func (f growingFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return growing{file}, err
}

func TestEndlessFile(t *testing.T) {
	fsys := growingFS{fstest.MapFS{"c.yaml": {Data: []byte("x")}}}
	_, list := spec.Load(context.Background(), spec.Input{FS: fsys, Files: []string{"/c.yaml"}, Dir: "/"})
	if err := list.Err(); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
}

func hundred(n int) []byte {
	var b bytes.Buffer
	b.WriteString("x-common: &common\n  restart: unless-stopped\n  logging: {driver: json-file, options: {max-size: 10m}}\nservices:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    <<: *common\n    image: nginx:${TAG:-1.22}\n    environment:\n      A: ${A:-x}\n      B: \"%d\"\n      C: literal\n    ports: [\"%d:80\"]\n    volumes: [data:/data, ./x:/x:ro]\n    networks: [front, back]\n    healthcheck: {test: [CMD, \"true\"], interval: 5s}\n    deploy: {resources: {limits: {cpus: \"0.5\", memory: 64m}}}\n", i, i, 10000+i)
		if i > 0 {
			fmt.Fprintf(&b, "    depends_on: {s%d: {condition: service_healthy}}\n", i-1)
		}
	}
	b.WriteString("networks: {front: , back: }\nvolumes: {data: }\n")
	return b.Bytes()
}

func BenchmarkLoad100(b *testing.B)  { benchmark(b, 100) }
func BenchmarkLoad5000(b *testing.B) { benchmark(b, 5000) }

func benchmark(b *testing.B, n int) {
	fsys := fstest.MapFS{"c.yaml": {Data: hundred(n)}}
	b.ReportAllocs()
	for b.Loop() {
		p, list := spec.Load(context.Background(), spec.Input{FS: fsys, Files: []string{"/c.yaml"}, Dir: "/", Name: "x"})
		if p == nil {
			b.Fatal(list.Err())
		}
	}
}
