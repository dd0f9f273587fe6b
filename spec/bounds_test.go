package spec_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
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

// cpu is the time that this process has computed: unlike the clock's, it does not
// depend on what else the machine does.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBounds: input made to be expensive is refused within a second and 200 MB.
func TestBounds(t *testing.T) {
	bomb := "x-a: &a [" + strings.Repeat("l, ", 50) + "l]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("x-%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 20), c-1)
	}
	merges := "x-a: &a {k: v}\n"
	for i := range 40 {
		merges += fmt.Sprintf("x-%d: &m%d\n  <<: [*a, *a, *a]\n  k%d: *a\n", i, i, i)
	}
	cases := map[string]string{
		"alias bomb":         bomb,
		"large scalar":       "services: {web: {image: x, labels: {a: \"" + strings.Repeat("x", 4<<20-100) + "\"}}}",
		"larger file":        "# " + strings.Repeat("x", 10<<20),
		"deep flow":          "x: " + strings.Repeat("[", 100000),
		"many values":        "x: [" + strings.Repeat("a,", 190_000) + "]\nservices: {web: {}}",
		"too many values":    "x: [" + strings.Repeat("a,", 1<<20) + "]\nservices: {web: {image: x}}",
		"deep mapping":       "x: " + strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000),
		"deep blocks":        strings.Repeat("- ", 20000) + "x",
		"deep references":    "services: {web: {image: \"" + strings.Repeat("${A:-", 1000) + strings.Repeat("}", 1000) + "\"}}",
		"unclosed":           "services: {web: {image: \"" + strings.Repeat("${A:-", 1000) + "\"}}",
		"itself by extends":  "services: {web: {extends: {file: compose.yaml, service: web}}}",
		"itself by include":  "include: [compose.yaml]\nservices: {web: {image: x}}",
		"device as env file": "services: {web: {image: x, env_file: [/dev/zero]}}",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpu(t)
			p, err := loadText(text, nil)
			took := cpu(t) - start
			runtime.ReadMemStats(&after)
			if p != nil || err == nil {
				t.Error("it loads")
			}
			t.Logf("%v of CPU time", took)
			if took > time.Second {
				t.Errorf("took %v", took)
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 200 {
				t.Errorf("allocated %d MiB", used)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
	if p, err := loadText(merges+"services: {web: {image: x}}", nil); p == nil {
		t.Errorf("many small merge keys are refused: %v", err)
	}
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
