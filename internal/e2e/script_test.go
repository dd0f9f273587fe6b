package e2e

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// runScript runs a script of p's directory with the binary as its argument; its output must hold want.
func runScript(t *testing.T, p *project, script, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	bin := p.host.bin
	cmd := exec.CommandContext(ctx, script, bin)
	cmd.Dir = p.dir
	cmd.Env = p.host.env
	// What `go run` inside of a script needs: its caches are the user's, not the instance's.
	for _, v := range []string{"HOME", "GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "CGO_ENABLED"} {
		if value, ok := os.LookupEnv(v); ok {
			cmd.Env = append(cmd.Env, v+"="+value)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s: %v; want %q in:\n%s", script, err, want, out)
	}
}

func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
