package hostinfo

import (
	"testing"
	"time"
)

func TestCPUTime(t *testing.T) {
	if d, err := parseCPUTime("cpu  100 200 300 400 0 0 0 0 50 50"); err != nil || d != 10*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	for _, line := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2", "cpu a 2 3 4 5 6 7 8"} {
		if _, err := parseCPUTime(line); err == nil {
			t.Errorf("%q was read", line)
		}
	}
	if d, err := CPUTime(); err != nil || d <= 0 {
		t.Errorf("of this host: %v, %v", d, err)
	}
}
