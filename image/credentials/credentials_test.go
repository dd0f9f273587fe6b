package credentials

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestHelperProgram runs real programs that behave as helpers do, well and badly.
func TestHelperProgram(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"ok":     `read server; test "$1" = get && printf '{"Username":"jo","Secret":"%s"}' "$server"`,
		"none":   `echo "credentials not found in native keychain"; exit 1`,
		"broken": `echo "no display" >&2; exit 1`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := Stored{helper: runHelper}
	ctx := context.Background()
	if a, err := c.ask(ctx, "ok", "host:5000"); err != nil || a.Username != "jo" || a.Password != "host:5000" {
		t.Errorf("ok: %+v, %v", a, err)
	}
	if a, err := c.ask(ctx, "none", "host"); err != nil || a.Username != "" {
		t.Errorf("none: %+v, %v", a, err)
	}
	for _, name := range []string{"broken", "missing", "../ok", "/bin/sh"} {
		if _, err := c.ask(ctx, name, "host"); err == nil {
			t.Errorf("%s gave credentials", name)
		}
	}
}
