package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// docker is dockerd with docker compose, all of it started here.
type docker struct {
	none
	m       *machine
	dir     string
	program []string // of compose
	daemon  *daemon
}

func newDocker(m *machine) *docker { return &docker{m: m, dir: filepath.Join(m.dir, "docker")} }

func (d *docker) name() string { return "docker" }

func (d *docker) version() string {
	server, _ := output(exec.Command("docker", "version", "--format", "{{.Server.Version}}"))
	client, _ := output(exec.Command(d.program[0], append(d.program[1:], "version", "--short")...))
	return strings.TrimSpace(server) + " with compose " + strings.TrimSpace(client)
}

func (d *docker) start(ctx context.Context) error {
	if err := look("dockerd", "containerd", "docker", "iptables"); err != nil {
		return err
	}
	var err error
	if d.program, err = composeOf(); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	if d.daemon, err = startDaemon(ctx, filepath.Join(d.dir, "log"), nil, "dockerd", "--data-root", filepath.Join(d.dir, "data"),
		"--exec-root", "/run/docker-bench", "--pidfile", "/run/docker-bench.pid"); err != nil {
		return err
	}
	if err := d.daemon.ready(ctx, func() error { return exec.CommandContext(ctx, "docker", "info").Run() }); err != nil {
		d.daemon.stop()
		return err
	}
	if _, err := output(exec.CommandContext(ctx, "docker", "load", "--input", d.m.archive)); err != nil {
		d.daemon.stop()
		return err
	}
	return nil
}

func (d *docker) stop() { d.daemon.stop() }

func (d *docker) compose(ctx context.Context, dir string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, d.program[0], append(d.program[1:], args...)...)
	cmd.Dir = dir
	return cmd, nil
}

func (d *docker) run(ctx context.Context, bridge bool) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "docker", runArgs(bridge, "none")...), nil
}

// runArgs are of `run --rm`, with the network for none.
func runArgs(bridge bool, off string) []string {
	args := []string{"run", "--rm"}
	if !bridge {
		args = append(args, "--network", off)
	}
	return append(args, small, "true")
}

func (d *docker) exec(ctx context.Context, _, container, _ string) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "docker", "exec", container, "true"), nil
}

func (d *docker) build(ctx context.Context, dir, tag string) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "docker", "build", "--tag", tag, dir), nil
}

func (d *docker) pull(ctx context.Context) (time.Duration, error) {
	ref := d.m.registry + "/" + large
	took, err := timed(exec.CommandContext(ctx, "docker", "pull", "--quiet", ref), nil)
	if err != nil {
		return 0, err
	}
	_, err = output(exec.CommandContext(ctx, "docker", "image", "rm", "--force", ref))
	return took, err
}

func (d *docker) owns(program string) bool {
	return anyOf(program, "dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy")
}
