package seccomp

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/caps"
)

// probe builds testdata/probe for goarch and runs it under filter.
func probe(t *testing.T, goarch string, filter []byte) map[string]unix.Errno {
	t.Helper()
	exe := sandbox.Program(t, goarch, "github.com/stackrun/stack/runtime/seccomp/testdata/probe")
	file := filepath.Join(t.TempDir(), "filter")
	if err := os.WriteFile(file, filter, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, file).CombinedOutput()
	if err != nil && goarch != runtime.GOARCH && strings.Contains(err.Error(), "exec format error") {
		t.Skip("SKIP: this machine cannot run 32-bit programs")
	}
	if err != nil {
		t.Fatalf("probe for %s: %v\n%s", goarch, err, out)
	}
	got := map[string]unix.Errno{}
	for line := range strings.Lines(string(out)) {
		name, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		errno, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("probe said %q", line)
		}
		got[name] = unix.Errno(errno)
	}
	return got
}

// TestKernelTakesIt loads the default profile for real (CVE-2026-31431 and its like).
func TestKernelTakesIt(t *testing.T) {
	filter, err := Compile(defaultProfile(t, caps.Default()...))
	if err != nil {
		t.Fatal(err)
	}
	const ok, denied = unix.Errno(0), unix.EPERM
	direct := map[string]unix.Errno{"socket-1": ok, "socket-2": ok, "socket-10": ok, "socket-38": denied, "socket-40": denied,
		"direct-2": ok, "direct-38": denied, "stat": ok, "unshare-newuser": denied, "clone3": unix.ENOSYS, "future": unix.ENOSYS}
	programs := map[string]map[string]map[string]unix.Errno{
		"arm64": {"arm64": direct, "arm": direct},
		"amd64": {"amd64": direct,
			// All families: what socketcall(SYS_SOCKET) asks for cannot be seen, so it is denied, see Default.
			"386": {"socket-1": denied, "socket-2": denied, "socket-38": denied, "socket-40": denied,
				"direct-2": ok, "direct-38": denied, "stat": ok, "unshare-newuser": denied, "clone3": unix.ENOSYS, "future": unix.ENOSYS},
		},
	}
	for goarch, want := range programs[runtime.GOARCH] {
		t.Run(goarch, func(t *testing.T) {
			got := probe(t, goarch, filter)
			for name, errno := range want {
				if got[name] != errno {
					t.Errorf("%s: %v, want %v", name, got[name], errno)
				}
			}
			if goarch == runtime.GOARCH && got["socket-39"] == denied {
				t.Error("AF_NFC is denied") // without the module: EAFNOSUPPORT
			}
		})
	}
}

// TestBuiltinFor32Bit shows that programs of 32-bit glibc, which knows socketcall alone, work with Docker's profile, and what it costs.
func TestBuiltinFor32Bit(t *testing.T) {
	on(t, "amd64")
	p, err := Builtin(caps.Default())
	if err != nil {
		t.Fatal(err)
	}
	filter, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	got := probe(t, "386", filter)
	for name, errno := range map[string]unix.Errno{"socket-1": 0, "socket-2": 0, "direct-2": 0, "direct-38": unix.EPERM} {
		if got[name] != errno {
			t.Errorf("%s: %v, want %v", name, got[name], errno)
		}
	}
	if got["socket-38"] == unix.EPERM { // without the module: EAFNOSUPPORT
		t.Error("AF_ALG by socketcall is denied: then Default need not be narrower, see docs/adr/0030-socketcall.md")
	}
}

// TestUnconfined shows that it is the filter which denies.
func TestUnconfined(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIP: unshare(CLONE_NEWUSER) is root's on some hosts")
	}
	got := probe(t, runtime.GOARCH, nil)
	if got["socket-38"] == unix.EPERM || got["direct-38"] == unix.EPERM || got["future"] != unix.ENOSYS {
		t.Errorf("without a filter: %v", got)
	}
}

// TestUserProfile loads a user's own.
func TestUserProfile(t *testing.T) {
	p, err := Load([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
		{"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":13,"args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	got := probe(t, runtime.GOARCH, filter)
	if got["socket-2"] != unix.EACCES || got["socket-1"] != 0 {
		t.Errorf("%v", got)
	}
}
