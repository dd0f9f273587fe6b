package e2e

import (
	"strings"
	"testing"

	dc "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestStandaloneWords: what docker's client shows, and goes by, is as docker has it: words with spaces are in quotes, and a bind without a source is not taken for a program
// that is not there.
func TestStandaloneWords(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	id := a.create("words", "echo one; echo two", nil)
	list, err := a.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("id", id)})
	if err != nil || len(list.Items) != 1 || list.Items[0].Command != "sh -c 'echo one; echo two'" {
		t.Errorf("%+v, %v", list.Items, err)
	}
	_, err = a.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &dc.Config{Image: "busybox"},
		HostConfig: &dc.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeBind, Source: "/not/there", Target: "/x"}}}})
	// docker's client ends with 127 where it reads "no such file or directory", and with 125 here.
	if err == nil || !strings.Contains(err.Error(), `"/not/there"`) || !strings.Contains(err.Error(), "bind source path does not exist") || strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("a bind without a source: %v", err)
	}
}

// TestStandaloneMounts: inspect lists what --mount has mounted in memory among the mounts; --tmpfs it does not, as docker.
func TestStandaloneMounts(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	id := a.create("mounts", "sleep infinity", func(_ *dc.Config, h *dc.HostConfig) {
		h.Mounts = []mount.Mount{{Type: mount.TypeTmpfs, Target: "/b", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20, Mode: 0o700}}}
		h.Tmpfs = map[string]string{"/a": "size=64k"}
	})
	got, err := a.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := got.Container.Mounts
	if len(m) != 1 || m[0].Type != mount.TypeTmpfs || m[0].Destination != "/b" || !m[0].RW || m[0].Source != "" {
		t.Errorf("mounts: %+v", m)
	}
	if hc := got.Container.HostConfig; len(hc.Mounts) != 1 || hc.Mounts[0].TmpfsOptions == nil || hc.Mounts[0].TmpfsOptions.Mode != 0o700 || len(hc.Tmpfs) != 1 {
		t.Errorf("host config: %+v, %+v", hc.Mounts, hc.Tmpfs)
	}
	a.start(id)
	text, _ := a.exec(id, "sh", "-c", "stat -c %a /b; df -k /a /b | awk 'NR>1 {print $2}'")
	equal(t, "what is mounted", text, "700\n64\n1024\n")
}
