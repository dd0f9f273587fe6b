package roots_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) {
	if os.Getenv("STACK_ROOTS_PRINT") != "" {
		os.Stdout.WriteString(roots.Roots{State: "/a", Run: "/b"}.Instance())
		return
	}
	os.Exit(sandbox.Main(m))
}

func TestInstanceTellsRootsApart(t *testing.T) {
	a := roots.Roots{State: "/a", Run: "/b"}
	if got := a.Instance(); got != (roots.Roots{State: "/a", Run: "/b"}).Instance() || len(got) != 6 {
		t.Errorf("instance of the same roots: %q", got)
	}
	for _, other := range []roots.Roots{{State: "/a", Run: "/c"}, {State: "/c", Run: "/b"}, {State: "/a/b", Run: "/"}} {
		if a.Instance() == other.Instance() {
			t.Errorf("%v and %v have one instance", a, other)
		}
	}
}

func TestInstanceTellsNetworkNamespacesApart(t *testing.T) {
	sandbox.Require(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	print := func(argv ...string) string {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "STACK_ROOTS_PRINT=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	here, again, there := print(exe), print(exe), print("unshare", "-n", exe)
	if here != again || here == there {
		t.Errorf("instances %s and %s in one network namespace, %s in another", here, again, there)
	}
}
