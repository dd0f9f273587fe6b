package e2e

import (
	"slices"
	"testing"

	dc "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

// TestEngineAPIDiskUsage: what a project takes on the disk is counted where it is, and once.
func TestEngineAPIDiskUsage(t *testing.T) {
	p := compose(t, "measured", `
services:
  web:
    image: busybox
    init: true
    command: [sh, -c, "dd if=/dev/zero of=/data/file bs=1k count=512 2>&1 && dd if=/dev/zero of=/written bs=1k count=300 2>&1 && echo done && exec sleep infinity"]
    volumes: ["data:/data"]
volumes:
  data: {}
`)
	p.up()
	p.logged("web", "done")
	c := p.host.dockerClient(t)
	u, err := c.DiskUsage(t.Context(), client.DiskUsageOptions{Containers: true, Images: true, Volumes: true, BuildCache: true, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(u.Volumes.Items, func(v volume.Volume) bool { return v.Name == "measured_data" }); i < 0 || u.Volumes.Items[i].UsageData.RefCount != 1 || u.Volumes.Items[i].UsageData.Size < 512<<10 {
		t.Errorf("%+v", u.Volumes.Items)
	}
	if i := slices.IndexFunc(u.Containers.Items, func(c dc.Summary) bool { return slices.Contains(c.Names, "/measured-web-1") }); i < 0 || u.Containers.Items[i].SizeRw < 300<<10 || u.Containers.Items[i].SizeRootFs <= u.Containers.Items[i].SizeRw {
		t.Errorf("%+v", u.Containers.Items)
	}
	i := slices.IndexFunc(u.Images.Items, func(i image.Summary) bool { return slices.Contains(i.RepoTags, "busybox:latest") })
	if i < 0 || u.Images.Items[i].Containers < 1 || u.Images.Items[i].Size == 0 || u.Images.TotalSize < u.Images.Items[i].Size {
		t.Errorf("%+v", u.Images)
	}
	only, err := c.DiskUsage(t.Context(), client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil || len(only.Volumes.Items) == 0 || len(only.Images.Items) != 0 {
		t.Errorf("%+v, %v", only, err)
	}
}
