package hostinfo

import (
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	h := Read()
	if h.Kernel == "" || h.Machine == "" || h.CPUs < 1 || h.Memory < 1<<20 {
		t.Errorf("%+v", h)
	}
}

func TestOSRelease(t *testing.T) {
	name, version := osRelease(strings.NewReader("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n"))
	if name != "Debian GNU/Linux 12 (bookworm)" || version != "12" {
		t.Errorf("%q %q", name, version)
	}
}

func TestMemTotal(t *testing.T) {
	if got := memTotal(strings.NewReader("MemTotal:       16384 kB\nMemFree: 1 kB\n")); got != 16<<20 {
		t.Errorf("%d", got)
	}
}
