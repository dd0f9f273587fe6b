package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The program's size is paid at every start and by every container that runs, so what it links is a decision.
func TestLinksLittle(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const ours = "github.com/stackrun/stack/"
	allowed := map[string]bool{
		ours + "cmd/stack-init": true, ours + "runtime/boot": true, ours + "runtime/monitor": true, ours + "runtime/proto": true,
		ours + "runtime/mount": true, ours + "runtime/logs": true, ours + "runtime/pid1": true, ours + "runtime/dormant": true, ours + "runtime/elf": true, ours + "runtime/sealed": true,
		ours + "internal/program": true, ours + "internal/kernelfile": true, ours + "internal/treecopy": true, ours + "internal/rawfd": true, ours + "internal/idmap": true,
		"github.com/opencontainers/runtime-spec/specs-go": true, "golang.org/x/sys/unix": true,
	}
	for _, dep := range strings.Fields(string(out)) {
		if !allowed[dep] {
			t.Errorf("the init program links %s", dep)
		}
	}
	out, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"net", "net/http", "os/signal", "crypto/tls", "os/exec", "regexp", "text/template"} {
		if strings.Contains("\n"+string(out), "\n"+heavy+"\n") {
			t.Errorf("the init program links %s", heavy)
		}
	}
}
