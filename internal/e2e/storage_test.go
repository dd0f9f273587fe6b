package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

func TestVolumes(t *testing.T) {
	p := newProject(t, theHost(t), "vols", map[string]string{
		"compose.yaml": `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes:
      - data:/data
      - copied:/etc
      - ./src:/src:ro
      - ./made:/made
      - type: volume
        source: data
        target: /sub
        volume: {subpath: inner}
        read_only: true
      - type: tmpfs
        target: /fast
        tmpfs: {size: 1048576, mode: 0755}
    depends_on:
      prepare: {condition: service_completed_successfully}
  prepare:
    image: busybox
    command: [mkdir, -p, /data/inner]
    volumes: [data:/data]
volumes:
  data:
  copied:
    name: named-verbatim
`,
		"src/file": "from the host\n",
	})
	p.up()
	equal(t, "bind", p.sh("app", "cat /src/file"), "from the host")
	if r := p.run("exec", "-T", "app", "touch", "/src/x"); r.code == 0 {
		t.Error("a read-only bind can be written")
	}
	p.sh("app", "echo written >/made/x; echo deep >/data/inner/f")
	if b, err := os.ReadFile(filepath.Join(p.dir, "made", "x")); err != nil || string(b) != "written\n" {
		t.Errorf("a bind whose source was made: %q, %v", b, err)
	}
	equal(t, "subpath", p.sh("app", "cat /sub/f"), "deep")
	if r := p.run("exec", "-T", "app", "touch", "/sub/x"); r.code == 0 {
		t.Error("a read-only subpath can be written")
	}
	equal(t, "copy-up", p.sh("app", "grep -c ^root: /etc/passwd"), "1")
	equal(t, "tmpfs", p.sh("app", "stat -f -c %T /fast; stat -c %a /fast; df -k /fast | tail -1 | awk '{print $2}'"), "tmpfs\n755\n1024")
	equal(t, "a volume with a name of its own", p.ok("config", "--volumes"), "copied\ndata\n")

	p.ok("down")
	if _, err := os.Stat(p.host.state("volumes", "named-verbatim")); err != nil {
		t.Errorf("down took a named volume: %v", err)
	}
	p.up()
	equal(t, "the data after down and up", p.sh("app", "cat /data/inner/f"), "deep")
	p.ok("down", "--volumes")
	for _, v := range []string{"vols_data", "named-verbatim"} {
		if _, err := os.Stat(p.host.state("volumes", v)); err == nil {
			t.Errorf("down --volumes kept %s", v)
		}
	}
}

// TestConfigsAndSecrets: from file, environment and content, with owner and mode as the file says.
func TestConfigsAndSecrets(t *testing.T) {
	p := newProject(t, theHost(t), "files2", map[string]string{
		"compose.yaml": `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    user: "1000:1000"
    secrets:
      - plain
      - source: from_env
        target: /run/env-secret
        uid: "1000"
        gid: "1001"
        mode: 0440
    configs:
      - source: inline
        target: /etc/app/app.conf
      - source: file
        mode: 0755
secrets:
  plain: {file: ./secret.txt}
  from_env: {environment: TOKEN}
configs:
  inline:
    content: |
      for ${WHO}
  file: {file: ./file.conf}
`,
		"secret.txt": "s3cret",
		"file.conf":  "conf\n",
	})
	p.env = []string{"TOKEN=t0ken", "WHO=you"}
	p.up()
	for line, want := range map[string]string{
		"cat /run/secrets/plain":                "s3cret",
		"stat -c '%a %u %g' /run/secrets/plain": "444 0 0",
		"cat /run/env-secret":                   "t0ken",
		"stat -c '%a %u %g' /run/env-secret":    "440 1000 1001",
		"cat /etc/app/app.conf":                 "for you",
		"cat /file":                             "conf",
		"stat -c '%a %u %g' /file":              "555 0 0", // "Writable bit must be ignored" (compose-spec, configs)
	} {
		if got := p.sh("app", line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if r := p.run("exec", "-T", "-u", "0", "app", "sh", "-c", "echo x >/run/secrets/plain"); r.code == 0 {
		t.Error("a secret can be overwritten")
	}
}
