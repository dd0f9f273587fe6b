package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

// dockerClient is what docker's own programs talk to the daemon of h with.
func (h *host) dockerClient(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.WithHost("unix://" + h.run("stack.sock")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// bare is a project of one file on a host of a test's own whose daemon is killed: what is left at the end is compared for the whole host.
func (h *host) bare(t *testing.T, name, yaml string) *project {
	t.Helper()
	p := &project{t: t, host: h, name: name, dir: filepath.Join(t.TempDir(), name)}
	p.write("compose.yaml", yaml)
	t.Cleanup(p.takeDownWholly)
	return p
}

// TestEngineAPI: docker's client finds out by itself how to talk to the daemon, and what is not served is refused by name.
func TestEngineAPI(t *testing.T) {
	h := theHost(t)
	c := h.dockerClient(t)
	ping, err := c.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true})
	if err != nil || ping.APIVersion != "1.51" || ping.OSType != "linux" {
		t.Fatalf("%+v, %v", ping, err)
	}
	if c.ClientVersion() != "1.51" {
		t.Errorf("the client speaks %s", c.ClientVersion())
	}
	version, err := c.ServerVersion(t.Context(), client.ServerVersionOptions{})
	if err != nil || version.MinAPIVersion != "1.40" || version.Version == "" {
		t.Errorf("%+v, %v", version, err)
	}
	info, err := c.Info(t.Context(), client.InfoOptions{})
	if err != nil || info.Info.DockerRootDir != h.state() || info.Info.NCPU < 1 || info.Info.MemTotal == 0 {
		t.Errorf("%+v, %v", info, err)
	}
	_, err = c.SwarmInspect(t.Context(), client.SwarmInspectOptions{})
	if err == nil || !strings.Contains(err.Error(), "swarm") {
		t.Errorf("swarm inspect: %v", err)
	}
}
