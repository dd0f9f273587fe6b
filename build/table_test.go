package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

func TestParseChmod(t *testing.T) {
	for _, c := range []struct {
		spec      string
		mode      uint32
		dir       bool
		want      uint32
		wantError bool
	}{
		{"", 0o644, false, 0o644, false},
		{"755", 0o644, false, 0o755, false},
		{"0755", 0o644, true, 0o755, false},
		{"4711", 0o644, false, 0o4711, false},
		{"u+x", 0o644, false, 0o744, false},
		{"+x", 0o644, false, 0o755, false},
		{"a-w", 0o666, false, 0o444, false},
		{"u=rwX,go=rX", 0o600, false, 0o644, false},
		{"u=rwX,go=rX", 0o700, true, 0o755, false},
		{"go=", 0o755, false, 0o700, false},
		{"ug+s", 0o755, false, 0o6755, false},
		{"+t", 0o755, true, 0o1755, false},
		{"u=rw,u+x", 0o000, false, 0o700, false},
		{"u-x+r", 0o100, false, 0o400, false},
		{"888", 0, false, 0, true},
		{"77777", 0, false, 0, true},
		{"u", 0, false, 0, true},
		{"z+x", 0, false, 0, true},
		{"u+q", 0, false, 0, true},
	} {
		ch, err := parseChmod(c.spec)
		if (err != nil) != c.wantError {
			t.Errorf("%q: %v", c.spec, err)
			continue
		}
		if err == nil {
			if got := ch.apply(c.mode, c.dir); got != c.want {
				t.Errorf("%q of %04o is %04o, expected %04o", c.spec, c.mode, got, c.want)
			}
		}
	}
}

func TestExposed(t *testing.T) {
	for spec, want := range map[string]string{
		"80": "80/tcp", "80/udp": "80/udp", "80/TCP": "80/tcp", "7-9": "7/tcp 8/tcp 9/tcp", "8080:80": "80/tcp", "127.0.0.1:8080:80/sctp": "80/sctp", "0": "0/tcp",
		"": "!", "x": "!", "9-7": "!", "70000": "!", "80/icmp": "!", "-1": "!",
	} {
		got, err := exposed(spec)
		if (err != nil) != (want == "!") || err == nil && strings.Join(got, " ") != want {
			t.Errorf("%q is %q (%v), expected %q", spec, got, err, want)
		}
	}
}

func TestSignal(t *testing.T) {
	for s, want := range map[string]bool{"SIGTERM": true, "term": true, "15": true, "SIGRTMIN+3": true, "0": false, "65": false, "SIGNONE": false, "": false} {
		if signal(s) != want {
			t.Errorf("%q is a signal: %v, expected %v", s, !want, want)
		}
	}
}

func TestIsGit(t *testing.T) {
	for s, want := range map[string]string{
		"https://example.org/x.tar": "url", "http://example.org/": "url", "https://example.org/x.git": "git", "https://example.org/x.git#main:dir": "git",
		"git@example.org:x/y": "git", "git://x": "git", "file.git": "", "x": "", "ssh://git@x/y": "git",
	} {
		got := ""
		switch {
		case isURL(s):
			got = "url"
		case isGit(s):
			got = "git"
		}
		if got != want {
			t.Errorf("%q is %q, expected %q", s, got, want)
		}
	}
}

func TestKeysDoNotRunTogether(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct {
		what string
		fill func(key)
	}{
		{"a b", func(k key) { k.add("a", "b") }}, {"ab", func(k key) { k.add("ab") }}, {"ab and nothing", func(k key) { k.add("ab", "") }},
		{"list", func(k key) { k.list([]string{"a"}); k.list([]string{"b"}) }}, {"list 2", func(k key) { k.list([]string{"a", "b"}) }},
		{"list 3", func(k key) { k.list(nil); k.list([]string{"a", "b"}) }},
	} {
		k := newKey("test")
		c.fill(k)
		if other, ok := seen[k.String()]; ok {
			t.Errorf("%s and %s have one key", c.what, other)
		}
		seen[k.String()] = c.what
	}
}

// TestHashes: sums are known again as long as a file is the same, and a damaged record of them knows none.
func TestHashes(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := &entry{name: "f", sum: [32]byte{1, 2, 3}}
	look := func(e *entry) {
		t.Helper()
		if err := unix.Lstat(file, &e.st); err != nil {
			t.Fatal(err)
		}
	}
	look(e)
	h := openHashes(state, dir)
	h.learn(e)
	if len(h.seen) != 0 {
		t.Error("the sum of a file that has changed a moment ago is kept: it could change again without another time")
	}
	e.st.Ctim.Sec -= 100
	h.learn(e)
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	again := &entry{name: "f", st: e.st}
	if h = openHashes(state, dir); !h.known(again) || again.sum != e.sum {
		t.Error("the sum is not known again")
	}
	again.st.Mtim.Nsec++
	if h.known(again) {
		t.Error("a file with another time is taken for the same")
	}
	again.st = e.st
	again.st.Size++
	if h.known(again) {
		t.Error("a file of another size is taken for the same")
	}
	b, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(h.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if h = openHashes(state, dir); len(h.have) != 0 {
		t.Error("a damaged record is believed")
	}
	if (*hashes)(nil).known(e) {
		t.Error("nothing knows a sum")
	}
}

func TestSetVariable(t *testing.T) {
	list := []string{"A=1", "B=2"}
	got := setVariable(list, "A", "3")
	if !slices.Equal(got, []string{"A=3", "B=2"}) || list[0] != "A=1" {
		t.Errorf("got %q of %q", got, list)
	}
	if got := setVariable(got, "C", "="); !slices.Equal(got, []string{"A=3", "B=2", "C=="}) {
		t.Errorf("got %q", got)
	}
}

// TestLayout: what is refused before anything runs, and the stages that are needed.
func TestLayout(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "Dockerfile:"},
		{"RUN x\n", "Dockerfile:1"},
		{"ARG A\n", "it has no FROM"},
		{"FROM a\nFROM b AS b\nCOPY --from=c / /\nFROM x AS c\n", ""},
		{"FROM b AS b\nCOPY --from=c / /\nFROM x AS c\nFROM b\n", "Dockerfile:2: COPY --from=c / /: stage \"c\" is not before this one"},
		{"FROM Upper\n", "Dockerfile:1: FROM Upper"},
		{"FROM a\nCOPY x /\n", "Dockerfile:2: COPY x /: there is no context"},
		{"FROM a\nRUN --mount=type=ssh,required true\n", "Dockerfile:2: RUN --mount=type=ssh,required true: SSH agent \"default\" is required and was not given"},
		{"FROM a\nARG T=ssh\nRUN --mount=type=$T,required true\n", "Dockerfile:3"},
		{"FROM a\nRUN --security=insecure true\n", "privileged"},
		{"FROM a\nRUN --network=host true\n", "network"},
		{"FROM a\nRUN --mount=type=nonsense,target=/x true\n", "Dockerfile:2"},
		{"FROM a\nRUN --mount=type=cache true\n", "has no target"},
		{"FROM a\n\nNONSENSE\n", "Dockerfile:3"},
		{"FROM a\nENV\n", "Dockerfile:2"},
		{"FROM a AS x y\n", "Dockerfile:1"},
	} {
		d, err := parseDockerfile("", []byte(c.text))
		if err == nil {
			_, err = lay(&Request{}, d)
		}
		switch {
		case c.want == "" && err == nil:
		case c.want == "":
			// Of the stages that nobody needs nothing is asked.
			t.Errorf("%q: %v", c.text, err)
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%q: %v; expected %q", c.text, err, c.want)
		}
	}
}

// FuzzDockerfile: whatever a Dockerfile says, it is read or refused with a place, in bounds.
func FuzzDockerfile(f *testing.F) {
	for _, seed := range []string{
		"FROM scratch\n", "# escape=`\nFROM a AS b\nRUN <<EOF\nx\nEOF\nCOPY --from=b --chown=1 /a /b\n", "ARG A=1\nFROM ${A:-x}\nENV A=$A B=\"c d\"\n",
		"FROM a\nRUN --mount=type=cache,target=/x,from=${Y} true\nHEALTHCHECK --interval=1s CMD x\nONBUILD RUN y\n", "FROM a\nCOPY <<A <<-B /d/\nx\nA\n\ty\nB\n",
		"FROM a\nEXPOSE 1-65535\nSHELL [\"a\"]\nADD http://x/y /z\n", "FROM a\nRUN --network=none --security=sandbox [\"a\", \"b\"]\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDockerfile("", []byte(text))
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		r := &Request{Context: "/context", Args: map[string]string{"A": "b"}}
		l, err := lay(r, d)
		if err != nil {
			return
		}
		for _, s := range l.all {
			st := scratch(v1.Platform{OS: "linux", Architecture: "amd64"})
			w := &worker{job: &job{r: r, l: l}, stage: s, state: st, words: newExpander(d.escape)}
			for _, c := range s.inst.Commands {
				if w.expand(c) == nil {
					st.configure(c, w.words)
				}
			}
		}
	})
}
