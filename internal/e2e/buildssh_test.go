package e2e

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

// TestBuildSSH: a command of a build asks the user's SSH agent, by the file and by the flag; what is no agent is refused at its line.
func TestBuildSSH(t *testing.T) {
	p := newBuilds(t, "buildssh", map[string]string{
		"compose.yaml":   "services:\n  web:\n    build:\n      context: app\n      ssh: [default]\n",
		"app/Dockerfile": "FROM busybox\nARG ID=default\nRUN --mount=type=ssh,id=$ID [ -S \"$SSH_AUTH_SOCK\" ] && echo \"an agent at $SSH_AUTH_SOCK\"\n",
		"key":            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
	})
	socket := filepath.Join(p.dir, "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	p.env = append(p.env, "SSH_AUTH_SOCK=")
	p.fails(1, []string{"compose.yaml:5:", "the command had no SSH_AUTH_SOCK"}, "build")
	p.env = append(p.env, "SSH_AUTH_SOCK="+socket)
	r := p.run("build")
	if r.code != 0 {
		t.Fatal(r)
	}
	contains(t, "build", r.stderr, "| an agent at /run/buildkit/ssh_agent.0")
	p.write("app/Dockerfile", "FROM busybox\nARG ID=default\nRUN --mount=type=ssh,id=$ID,required [ -S \"$SSH_AUTH_SOCK\" ] && echo \"an agent at $SSH_AUTH_SOCK\"\nCMD [\"sleep\", \"infinity\"]\n")
	r = p.run("up", "--detach", "--build")
	if r.code != 0 {
		t.Fatal(r)
	}
	r = p.run("build", "--ssh", "mine="+socket, "--build-arg", "ID=mine")
	if r.code != 0 {
		t.Fatal(r)
	}
	contains(t, "build --ssh", r.stderr, "| an agent at /run/buildkit/ssh_agent.0")
	p.fails(1, []string{"key is no socket of an agent", "ssh-add"}, "build", "--ssh", "default=key")
	p.fails(1, []string{"invalid --ssh"}, "build", "--ssh", "=x")
	p.write("compose.yaml", "services:\n  web:\n    build:\n      context: app\n      ssh: [mine=agent]\n      args: {ID: mine}\n    init: true\n    command: [sleep, infinity]\n")
	r = p.run("up", "--detach", "--build")
	if r.code != 0 {
		t.Fatal(r)
	}
}
