package e2e

import (
	"debug/elf"
	"runtime"
	"strings"
	"testing"
)

// foreignProgram begins as a program for a machine that there is none of (elf(5): 64 bits, an executable, e_machine 0xfedc), so that whatever
// binfmt_misc has on this host lets it pass.
var foreignProgram = elf.ELFMAG + "\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xdc\xfe\x01" + strings.Repeat("\x00", 4096)

// TestForeignImage: the program of an image for other machines cannot be executed, and the error says for which it is, what this host is, and what to do. One that
// is for this host and holds such a program is told without that.
func TestForeignImage(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "foreign", map[string]string{"compose.yaml": `
services:
  foreign:
    image: foreign.test/app:1
    platform: linux/nowhere
    pull_policy: never
    command: [/program]
  broken:
    image: broken.test/app:1
    pull_policy: never
    init: true
    command: [/program]
`})
	program := map[string]string{"program": foreignProgram}
	p.ok("load", "--input", archiveFor(t, "nowhere", "foreign.test/app:1", program))
	p.ok("load", "--input", dataArchive(t, "broken.test/app:1", program))
	want := []string{"exec format error", "image foreign.test/app:1 is for linux/nowhere and this host is linux/" + runtime.GOARCH, "binfmt_misc"}
	for _, args := range [][]string{{"up", "--detach", "foreign"}, {"run", "--rm", "foreign"}} {
		r := p.run(args...)
		if r.code == 0 {
			t.Errorf("%v: %s", args, r)
		}
		for _, w := range want {
			contains(t, args[0], r.stderr, w)
		}
	}
	r := p.run("up", "--detach", "broken")
	contains(t, "broken", r.stderr, "exec format error")
	if strings.Contains(r.stderr, "binfmt_misc") {
		t.Errorf("broken: %s", r)
	}
	p.run("down", "--timeout", "0")
}
