package procfs

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A program's name may hold what the fields of stat are apart by.
func TestParseProcessStat(t *testing.T) {
	booted := time.Unix(1_700_000_000, 0)
	p, err := parseProcessStat([]byte("4242 (a) R (b c) S 17 4242 4242 34820 4242 4194304 1 0 0 0 150 50 9 9 20 0 1 0 12345 1000 10 184467 1 1\n"), booted)
	if err != nil {
		t.Fatal(err)
	}
	if p.Pid != 4242 || p.Name != "a) R (b c" || p.State != "S" || p.PPid != 17 || p.TTY != "pts/4" || p.CPU != 2*time.Second || !p.StartedAt.Equal(booted.Add(123450*time.Millisecond)) {
		t.Errorf("%+v", p)
	}
	for _, text := range []string{"", "1 sleep S 1", "1 (sleep) S 1 2 3", "1 (sleep) S x 4242 4242 34820 4242 4194304 1 0 0 0 150 50 9 9 20 0 1 0 12345", "x (sleep) S 1 4242 4242 34820 4242 4194304 1 0 0 0 150 50 9 9 20 0 1 0 12345"} {
		if p, err := parseProcessStat([]byte(text), booted); err == nil {
			t.Errorf("%q is %+v", text, p)
		}
	}
}

func TestTTYName(t *testing.T) {
	for dev, want := range map[uint64]string{0: "", 136 << 8: "pts/0", 136<<8 | 7: "pts/7", 137<<8 | 1: "pts/257", 136<<8 | 0x100<<12: "pts/256", 4<<8 | 1: "tty1", 4<<8 | 64: "ttyS0", 5<<8 | 1: "console", 9 << 8: "?"} {
		if got := ttyName(dev); got != want {
			t.Errorf("%#x is %q, expected %q", dev, got, want)
		}
	}
}

func TestEffectiveUID(t *testing.T) {
	if uid, err := effectiveUID([]byte("Name:\tx\nUid:\t1\t33\t3\t4\n")); err != nil || uid != 33 {
		t.Errorf("%d, %v", uid, err)
	}
	if _, err := effectiveUID([]byte("Name:\tx\n")); err == nil {
		t.Error("there is none")
	}
}

func TestParseCmdline(t *testing.T) {
	for _, c := range []struct {
		text string
		cut  bool
		want []string
	}{
		{"", false, nil},
		{"\x00\x00", false, nil},
		{"sleep\x001000\x00", false, []string{"sleep", "1000"}},
		{"sh\x00\x00x\x00", false, []string{"sh", "", "x"}},
		{"sh\x00-c\x00echo", true, []string{"sh", "-c", "echo…"}},
	} {
		if got := parseCmdline([]byte(c.text), c.cut); !slices.Equal(got, c.want) {
			t.Errorf("%q is %q, expected %q", c.text, got, c.want)
		}
	}
}

// TestLongCommandLine: what is read of a command line is bounded, whatever a program has there, and the more so the more processes there are.
func TestLongCommandLine(t *testing.T) {
	c := exec.Command("sh", append([]string{"-c", "echo; read x", "sh"}, slices.Repeat([]string{strings.Repeat("x", 100_000)}, 10)...)...)
	hold, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	up, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait() //nolint:errcheck // it ends with what it reads
	defer hold.Close()
	if _, err := up.Read(make([]byte, 1)); err != nil { // the program has begun: the command line is its own
		t.Fatal(err)
	}
	for _, processes := range []int{1, 1000, 1_000_000} {
		room := lineRoom(processes)
		p, err := readProcess(c.Process.Pid, time.Now(), make([]byte, room))
		if err != nil {
			t.Fatal(err)
		}
		line := strings.Join(p.Args, " ")
		if !strings.HasPrefix(line, "sh -c echo; read x sh xxx") || !strings.HasSuffix(line, "x…") || len(line) != room+len("…") {
			t.Errorf("of %d processes: %d bytes in a room of %d, %.20q…", processes, len(line), room, line)
		}
		if total := room * processes; total > maxLines && room != minLine || room > maxLine {
			t.Errorf("%d processes may have %d bytes each", processes, room)
		}
	}
}
