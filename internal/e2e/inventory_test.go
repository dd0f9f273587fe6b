package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestInventory: images and volumes list what there is, whoever has changed the file meanwhile.
func TestInventory(t *testing.T) {
	p := compose(t, "inventory", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    volumes: ["data:/data", "/cache"]
    stop_grace_period: 0s
  web:
    image: nginx:1.22
    volumes: ["other:/other"]
volumes:
  data: {labels: {kept: "yes"}}
  other:
`)
	contains(t, "images before up", p.ok("images"), "CONTAINER", "IMAGE ID")
	equal(t, "volumes before up", strings.Join(strings.Fields(p.ok("volumes")), " "), "DRIVER VOLUME NAME")
	p.ok("create")
	var images []struct {
		ID, ContainerName, Repository, Tag, Platform string
		Size                                         int64
	}
	if err := json.Unmarshal([]byte(p.ok("images", "--format", "json")), &images); err != nil {
		t.Fatal(err)
	}
	if len(images) != 2 {
		t.Fatalf("%d images: %+v", len(images), images)
	}
	for i, want := range []string{"inventory-app-1 busybox latest", "inventory-web-1 nginx 1.22"} {
		got := images[i]
		equal(t, "image", got.ContainerName+" "+got.Repository+" "+got.Tag, want)
		if len(got.ID) != len("sha256:")+64 || got.Size == 0 || !strings.HasPrefix(got.Platform, "linux/") {
			t.Errorf("%+v", got)
		}
	}
	equal(t, "images -q app", p.ok("images", "-q", "app"), strings.TrimPrefix(images[0].ID, "sha256:")+"\n")
	names := strings.Fields(p.ok("volumes", "-q"))
	if len(names) != 3 || !slices.Contains(names, "inventory_data") || !slices.Contains(names, "inventory_other") {
		t.Errorf("volumes: %q", names)
	}
	equal(t, "volumes web", p.ok("volumes", "--quiet", "web"), "inventory_other\n")
	contains(t, "a template", p.ok("volumes", "--format", `{{.Name}} {{.Driver}} {{.Label "kept"}} {{.Mountpoint}}`, "app"),
		"inventory_data local yes "+p.host.state("volumes", "inventory_data", "_data"))
	p.fails(1, []string{"no such service: nobody"}, "volumes", "nobody")
}
