package runtime

import (
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
