package sandbox

import (
	"fmt"
	"testing"

	"github.com/stackrun/stack/internal/hostinfo"
)

// Since skips t on a Linux before major.minor, where what cannot be done.
func Since(t testing.TB, major, minor int, what string) {
	t.Helper()
	var is, part int
	release := hostinfo.Read().Kernel
	if _, err := fmt.Sscanf(release, "%d.%d", &is, &part); err != nil {
		t.Fatalf("the kernel's release is %q: %v", release, err)
	}
	if is < major || is == major && part < minor {
		t.Skipf("SKIP: Linux %d.%d can %s, this is %s", major, minor, what, release)
	}
}
