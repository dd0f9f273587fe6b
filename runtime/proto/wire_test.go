package proto

import (
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
)

func sample() *Bootstrap {
	umask, adj := uint32(0o77), -5
	return &Bootstrap{
		ID: "ab", RunDir: "/run/x", ExitPath: "/exit", StdinOpen: true, AwaitAttach: true, Init: true,
		Log:    Log{Path: "/log", MaxSize: 1 << 40, MaxFiles: 3},
		Cgroup: Cgroup{V2: "/v2", V1: []string{"/a", "/b"}, OOM: "/oom"},
		Root:   []mount.Mount{{Type: "overlay", Target: "/", Lower: []string{"l1", "l2"}, Upper: "u", Work: "w"}},
		Mounts: []mount.Mount{{Type: "file", Target: "/f", CopyUp: true, Subpath: "s", Options: []string{"ro"},
			File: &mount.File{Content: []byte("secret"), UID: 1, GID: 2, Mode: 0o640, Writable: true}}},
		Filesystems: []mount.Mount{{Type: "ext4", Source: "/dev/x", Target: "/d", Data: []string{"commit=7", "ro"}}},
		Groups:      []string{"g"}, Seccomp: []byte{1, 2, 3},
		Spec: &specs.Spec{
			Process: &specs.Process{Args: []string{"a", ""}, Terminal: true, OOMScoreAdj: &adj, User: specs.User{Umask: &umask}},
			Linux:   &specs.Linux{Sysctl: map[string]string{"a": "1", "b": "2"}, Namespaces: []specs.LinuxNamespace{{Type: "pid", Path: "/p"}}},
		},
	}
}

func TestBootstrapArrives(t *testing.T) {
	want := sample()
	got, err := DecodeBoot(want.Encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	mine, err := DecodeMonitor(want.Encode())
	if err != nil || mine.ExitPath != want.ExitPath || !mine.Spec.Process.Terminal || len(mine.Spec.Linux.Namespaces) != 1 || len(mine.Filesystems) != 1 || mine.Mounts != nil {
		t.Errorf("%v, %+v", err, mine)
	}
	if spec := (&specs.Spec{Process: &specs.Process{}}); true {
		if b := (&Bootstrap{Spec: spec}).Encode(); spec.Linux != nil || len(b) == 0 {
			t.Error("Encode changes the caller's spec")
		}
	}
}

func sampleRest() *Rest {
	b, err := DecodeMonitor(sample().Encode())
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	return &Rest{
		Work: 3, B: b, Status: Status{MonitorPid: 1, MonitorStart: 2, MonitorWork: 3, Pid: 4, PidStart: 5, StartedAt: at, LogError: "full"},
		Init: 6, Listener: 7, Input: -1, Master: -1, Output: [2]int{8, -1},
		Log: RestLog{Dir: 9, File: 10, Size: 1 << 40, Dropped: 11, Latest: at.Add(1)}, Begun: at.Add(2), Quiet: time.Minute,
	}
}

func TestRestArrives(t *testing.T) {
	want := sampleRest()
	got, err := DecodeRest(want.Encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

// The number of a descriptor that is executed is the name of the process until it gives itself another.
func TestWorkOf(t *testing.T) {
	fds := map[int]bool{}
	for n := range MaxWorks {
		for _, name := range []string{WorkName(n), SettledName(n), strconv.Itoa(DormantFD(n)), strconv.Itoa(ProgramFD(n))} {
			if got := WorkOf([]byte(name)); got != n {
				t.Errorf("%q is work %d, expected %d", name, got, n)
			}
		}
		if name := SettledName(n); !IsSettled([]byte(name)) || IsSettled([]byte(WorkName(n))) || len(name) > 15 { // TASK_COMM_LEN, proc_pid_comm(5)
			t.Errorf("%q", name)
		}
		fds[DormantFD(n)], fds[ProgramFD(n)] = true, true
	}
	if len(fds) != 2*MaxWorks {
		t.Errorf("%d numbers for %d works", len(fds), MaxWorks)
	}
	for name, want := range map[string]int{"32": 0, "47": 15, "48": 0, "63": 15, "96": 0, "159": 63, "160": 0, "223": 63} { // of earlier versions
		if got := WorkOf([]byte(name)); got != want {
			t.Errorf("%q is work %d, expected %d", name, got, want)
		}
	}
	for _, name := range []string{"", "stack-init", "sleep", "-33", "31", "16", "64", "95", strconv.Itoa(FirstOtherFD), workPrefix, workPrefix + "x"} {
		if got := WorkOf([]byte(name)); got != 0 {
			t.Errorf("%q is work %d, expected 0", name, got)
		}
	}
}

func TestHalfAMessageIsAnError(t *testing.T) {
	b := sample().Encode()
	for n := range b {
		if _, err := DecodeBoot(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken for a whole message", n, len(b))
		}
	}
	b = sampleRest().Encode()
	for n := range b {
		if _, err := DecodeRest(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken for a whole rest", n, len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample().Encode())
	f.Add((&ExecBootstrap{Pid: 1, Process: *sample().Spec.Process}).Encode())
	w := &wire{}
	(&Report{Type: ReportFailed, Failure: &Failure{Stage: "x", ExitCode: 125}}).code(w)
	f.Add(w.b)
	f.Fuzz(func(t *testing.T, b []byte) { // must not panic, nor allocate what a length merely claims
		_, _ = DecodeBoot(b)
		_, _ = DecodeExec(b)
		_ = Decode(b, new(Report))
		_ = Decode(b, new(Step))
	})
}

func TestFilesAreJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, x := range []Exit{
		{FinishedAt: at},
		{Code: 137, Signal: 9, OOM: true, StartedAt: at.Add(-1), FinishedAt: at, Error: "a \"b\" \\ \n\t\x01 é <&> \u2028"},
	} {
		var got Exit
		if err := json.Unmarshal(x.JSON(), &got); err != nil || got != x {
			t.Errorf("%v: %s is read as %+v, want %+v", err, x.JSON(), got, x)
		}
	}
	var broken Exit
	if err := json.Unmarshal((&Exit{FinishedAt: at, Error: "\xff"}).JSON(), &broken); err != nil || broken.Error != "\ufffd" {
		t.Errorf("%v, %q", err, broken.Error)
	}
	s := Status{MonitorPid: 1, MonitorStart: 1 << 63, Pid: 3, PidStart: 4, LogError: "no \"space\"", StartedAt: at}
	var got Status
	if err := json.Unmarshal(s.JSON(), &got); err != nil || got != s {
		t.Errorf("%v: %s is read as %+v", err, s.JSON(), got)
	}
}

// TestWhatWasSaidBeforeTheEnd: a peer that ends with our packet unread has still said what it had said.
func TestWhatWasSaidBeforeTheEnd(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	for fd, text := range map[int]string{fds[0]: "ours", fds[1]: "theirs"} {
		if err := SendPacket(fd, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(fds[1])
	if b, _, err := ReceivePacket(fds[0]); err != nil || string(b) != "theirs" {
		t.Errorf("received %q, %v", b, err)
	}
	if b, _, err := ReceivePacket(fds[0]); err != io.EOF {
		t.Errorf("after the end: %q, %v", b, err)
	}
}
