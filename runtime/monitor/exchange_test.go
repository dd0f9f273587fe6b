package monitor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

// whileExchanged starts containers of make for two seconds while a and b are exchanged all the time, and for longer until some of these starts, least
// of them, have come through. How each ends is its own business; seen gets what it has written.
func whileExchanged(t *testing.T, a, b string, least int, make func() *container, seen func(log string)) {
	t.Helper()
	stop := swap(t, a, b)
	defer stop()
	started := 0
	for begun := time.Now(); time.Since(begun) < 2*time.Second || started < least; {
		if time.Since(begun) > sandbox.Patience {
			t.Fatalf("%d starts came through, expected %d", started, least)
		}
		c := make()
		c.start()
		for {
			r, ok := c.next()
			if !ok || r.Type == proto.ReportFailed {
				break
			}
			if r.Type == proto.ReportExited {
				started++
				break
			}
		}
		seen(c.logged())
	}
}

// CVE-2025-52565: what becomes /dev/console is exchanged with a link to another file of the container, such as one of /proc that is
// to be masked, while the terminal is mounted there.
func TestConsoleIsExchanged(t *testing.T) {
	root := image(t)
	volume := t.TempDir()
	write(t, filepath.Join(root, "victim"), "")
	write(t, filepath.Join(volume, "console"), "")
	must(t, os.Symlink("../victim", filepath.Join(volume, "link")))
	whileExchanged(t, filepath.Join(volume, "console"), filepath.Join(volume, "link"), 1, func() *container {
		c := newContainer(t, root, "[ -f /victim ] || echo moved")
		c.Spec.Process.Terminal = true
		// The volume is where /dev was; what a terminal needs of that is put into it again.
		c.Mounts = []mount.Mount{bind(volume, "/dev"), bind("/dev/pts", "/dev/pts"), bind("/dev/null", "/dev/null")}
		return c
	}, func(log string) {
		if strings.Contains(log, "moved") {
			t.Fatal("the terminal was mounted where the link leads")
		}
	})
	// The canary: without the volume the same program has its terminal there.
	c := newContainer(t, root, "echo written >/dev/console; stat -c %t:%T /dev/console")
	c.Spec.Process.Terminal = true
	if got := c.output(); !strings.Contains(got, "written") || !strings.Contains(got, "88:") {
		t.Errorf("the canary wrote %q", got)
	}
}

// CVE-2025-52881: what boot writes below /proc goes to the real one, whatever volumes, shared with a sibling that exchanges their
// files, lie over it.
func TestProcIsExchanged(t *testing.T) {
	root := image(t)
	outside, untouched := canary(t)
	for over, below := range map[string]string{"/proc/sys": "kernel", "/proc/sys/kernel": "", "/proc": "sys/kernel", "/proc/self/attr": ""} {
		volume := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(volume, "sys/kernel"), 0o755))
		must(t, os.MkdirAll(filepath.Join(volume, "kernel"), 0o755))
		for _, dir := range []string{"", "kernel", "sys/kernel"} {
			write(t, filepath.Join(volume, dir, "msgmax"), "untouched")
			must(t, os.Symlink("/../../../.."+filepath.Join(outside, "secret"), filepath.Join(volume, dir, "link")))
		}
		whileExchanged(t, filepath.Join(volume, below, "msgmax"), filepath.Join(volume, below, "link"), 0, func() *container {
			c := newContainer(t, root, "true")
			c.Spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "12345"}
			m := bind(volume, over)
			m.Options = append(m.Options, "rshared")
			c.Mounts = []mount.Mount{m}
			return c
		}, func(string) {})
		for _, name := range []string{"msgmax", "link"} { // wherever the file is now
			path := filepath.Join(volume, below, name)
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				continue
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "untouched" {
				t.Errorf("%s: the volume's file was written: %q, %v", over, b, err)
			}
		}
	}
	untouched()
	c := newContainer(t, root, "cat /proc/sys/kernel/msgmax")
	c.Spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "12345"}
	if got := c.output(); got != "12345\n" {
		t.Errorf("the canary: msgmax is %q", got)
	}
}

// A bind's source that is exchanged, a directory with a file: one of the two is mounted whole, or the start fails; what was looked at is
// what is mounted.
func TestBindSourceIsExchanged(t *testing.T) {
	root := image(t)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755))
	write(t, filepath.Join(dir, "a/inside"), "")
	write(t, filepath.Join(dir, "b"), "file")
	whileExchanged(t, filepath.Join(dir, "a"), filepath.Join(dir, "b"), 1, func() *container {
		c := newContainer(t, root, "if [ -d /s ]; then ls /s; else cat /s; fi")
		c.Mounts = []mount.Mount{bind(filepath.Join(dir, "a"), "/s")}
		return c
	}, func(log string) {
		if log != "" && log != "inside\n" && log != "file" && log != "file\n" {
			t.Fatalf("neither the one nor the other: %q", log)
		}
	})
}
