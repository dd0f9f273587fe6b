package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// podman has no daemon, but for docker compose on its socket.
type podman struct {
	none
	m       *machine
	dir     string
	program []string // of compose
	daemon  *daemon
}

const podmanSocket = "/run/podman-bench.sock"

func newPodman(m *machine) *podman { return &podman{m: m, dir: filepath.Join(m.dir, "podman")} }

func (p *podman) name() string { return "podman" }

func (p *podman) version() string {
	out, _ := output(exec.Command("podman", "version", "--format", "{{.Client.Version}}"))
	return strings.TrimSpace(out)
}

func (p *podman) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "podman", append([]string{"--root", filepath.Join(p.dir, "data"), "--runroot", "/run/podman-bench"}, args...)...)
}

func (p *podman) start(ctx context.Context) error {
	if err := look("podman", "conmon"); err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if _, err := output(p.command(ctx, "load", "--input", p.m.archive)); err != nil {
		return err
	}
	if _, err := timed(p.run(ctx, false)); err != nil { // not every runtime that it uses knows every kind of host
		return err
	}
	var err error
	if p.program, err = composeOf(); err != nil {
		return nil // the rest can be measured
	}
	serve := p.command(ctx, "system", "service", "--time", "0", "unix://"+podmanSocket)
	if p.daemon, err = startDaemon(ctx, filepath.Join(p.dir, "log"), nil, serve.Args...); err != nil {
		return err
	}
	return p.daemon.ready(ctx, func() error { _, err := os.Stat(podmanSocket); return err })
}

func (p *podman) stop() { p.daemon.stop() }

func (p *podman) compose(ctx context.Context, dir string, args ...string) (*exec.Cmd, error) {
	if p.program == nil {
		return nil, errNot
	}
	cmd := exec.CommandContext(ctx, p.program[0], append(p.program[1:], args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_HOST=unix://"+podmanSocket)
	return cmd, nil
}

func (p *podman) run(ctx context.Context, bridge bool) (*exec.Cmd, error) {
	return p.command(ctx, runArgs(bridge, "none")...), nil
}

func (p *podman) exec(ctx context.Context, _, container, _ string) (*exec.Cmd, error) {
	return p.command(ctx, "exec", container, "true"), nil
}

func (p *podman) build(ctx context.Context, dir, tag string) (*exec.Cmd, error) {
	return p.command(ctx, "build", "--layers", "--tag", tag, dir), nil
}

func (p *podman) pull(ctx context.Context) (time.Duration, error) {
	ref := p.m.registry + "/" + large
	took, err := timed(p.command(ctx, "pull", "--quiet", "--tls-verify=false", ref), nil)
	if err != nil {
		return 0, err
	}
	_, err = output(p.command(ctx, "image", "rm", "--force", ref))
	return took, err
}

func (p *podman) owns(program string) bool {
	return anyOf(program, "podman", "conmon", "aardvark-dns", "crun", "runc")
}
