package e2e

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// TestEngineAPINetworks: networks that docker's client makes outlive the daemon, belong to no project, and are removed by nobody else.
func TestEngineAPINetworks(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	p := h.bare(t, "shares", `
services:
  web:
    image: busybox
    command: [sleep, infinity]
    init: true
    networks: [theirs]
networks:
  theirs:
    name: shop_default
    external: true
`)
	c, ctx := h.dockerClient(t), t.Context()
	labels := map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.network": "default"}
	made, err := c.NetworkCreate(ctx, "shop_default", client.NetworkCreateOptions{
		Labels: labels, Attachable: true, Internal: true,
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix("10.77.0.0/24"), Gateway: netip.MustParseAddr("10.77.0.3"), AuxAddress: map[string]netip.Addr{"printer": netip.MustParseAddr("10.77.0.9")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	look := func() network.Inspect {
		t.Helper()
		got, err := c.NetworkInspect(ctx, made.ID[:12], client.NetworkInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Network
	}
	first := look()
	if ipam := first.IPAM.Config; first.Name != "shop_default" || !first.Internal || !first.Attachable || first.Labels["com.docker.compose.project"] != "shop" || len(ipam) != 1 ||
		ipam[0].Subnet.String() != "10.77.0.0/24" || ipam[0].Gateway.String() != "10.77.0.3" || ipam[0].AuxAddress["printer"].String() != "10.77.0.9" {
		t.Errorf("%+v", first)
	}
	if _, err := c.NetworkCreate(ctx, "shop_default", client.NetworkCreateOptions{}); !errdefs.IsConflict(err) {
		t.Errorf("twice: %v", err)
	}
	if _, err := c.NetworkCreate(ctx, "other", client.NetworkCreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix("10.77.0.0/16")}}}}); !errdefs.IsConflict(err) {
		t.Errorf("of an overlapping subnet: %v", err)
	}
	if _, err := c.NetworkCreate(ctx, "other", client.NetworkCreateOptions{Driver: "overlay"}); !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "overlay") {
		t.Errorf("of another driver: %v", err)
	}
	if _, err := c.NetworkRemove(ctx, "bridge", client.NetworkRemoveOptions{}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("the default network: %v", err)
	}

	h.killDaemon(t)
	h.startDaemon(t)
	second := look()
	if second.ID != first.ID || !second.Created.Equal(first.Created) || second.Labels["com.docker.compose.network"] != "default" {
		t.Errorf("after the daemon: %+v", second)
	}
	if got := h.exec(t, h.dir, "", nil, "gc"); got.code != 0 || strings.Contains(got.stdout, "shop_default") {
		t.Errorf("gc: %s", got)
	}
	if got := h.exec(t, h.dir, "", nil, "ls", "--all"); strings.Contains(got.stdout, "shop") {
		t.Errorf("it is taken for a project: %s", got)
	}
	listed, err := c.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("label", "com.docker.compose.project=shop").Add("name", "shop")})
	if err != nil || len(listed.Items) != 1 || listed.Items[0].ID != first.ID {
		t.Errorf("%+v, %v", listed, err)
	}
	all, err := c.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil || len(all.Items) != 4 {
		t.Errorf("%+v, %v", all, err)
	}

	// A file that shares it.
	p.ok("up", "--detach")
	joined := look()
	if len(joined.Containers) != 1 {
		t.Errorf("%+v", joined.Containers)
	}
	for _, member := range joined.Containers {
		if member.Name != "shares-web-1" || !member.IPv4Address.IsValid() || len(member.MacAddress) != 6 {
			t.Errorf("%+v", member)
		}
	}
	if _, err := c.NetworkRemove(ctx, made.ID, client.NetworkRemoveOptions{}); !errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), "active endpoints") {
		t.Errorf("in use: %v", err)
	}
	p.ok("down")
	pruned, err := c.NetworkPrune(ctx, client.NetworkPruneOptions{})
	if err != nil || len(pruned.Report.NetworksDeleted) != 1 || pruned.Report.NetworksDeleted[0] != "shop_default" {
		t.Errorf("%+v, %v", pruned, err)
	}
	if _, err := c.NetworkInspect(ctx, made.ID, client.NetworkInspectOptions{}); !errdefs.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

// TestEngineAPIVolumes: the same for volumes.
func TestEngineAPIVolumes(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	p := h.bare(t, "shop", `
services:
  reader:
    image: busybox
    command: [sh, -c, "cat /data/file; exec sleep infinity"]
    init: true
    volumes: ["theirs:/data"]
volumes:
  theirs:
    name: shop_data
    external: true
`)
	c, ctx := h.dockerClient(t), t.Context()
	made, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "shop_data", Labels: map[string]string{"com.docker.compose.project": "shop"}})
	if err != nil || made.Volume.Mountpoint == "" || made.Volume.Labels["com.docker.compose.project"] != "shop" {
		t.Fatalf("%+v, %v", made, err)
	}
	write(t, made.Volume.Mountpoint+"/file", "kept\n")
	nobody, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{})
	if err != nil || len(nobody.Volume.Name) != 64 {
		t.Fatalf("%+v, %v", nobody, err)
	}
	h.killDaemon(t)
	h.startDaemon(t)
	again, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "shop_data"})
	if err != nil || again.Volume.CreatedAt != made.Volume.CreatedAt || again.Volume.Labels["com.docker.compose.project"] != "shop" {
		t.Errorf("once more: %+v, %v", again, err)
	}
	if _, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "shop_data", DriverOpts: map[string]string{"type": "tmpfs"}}); !errdefs.IsConflict(err) {
		t.Errorf("with other options: %v", err)
	}
	if _, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "x", Driver: "nfs"}); !errdefs.IsNotImplemented(err) {
		t.Errorf("of another driver: %v", err)
	}
	if _, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "../x"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("with a name that is none: %v", err)
	}

	// A file that shares it, of the very project that its label names.
	p.ok("up", "--detach")
	p.logged("reader", "kept")
	if _, err := c.VolumeRemove(ctx, "shop_data", client.VolumeRemoveOptions{Force: true}); !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("in use: %v", err)
	}
	p.ok("down", "--volumes")
	pruned, err := c.VolumePrune(ctx, client.VolumePruneOptions{})
	if err != nil || len(pruned.Report.VolumesDeleted) != 1 || pruned.Report.VolumesDeleted[0] != nobody.Volume.Name {
		t.Errorf("%+v, %v", pruned, err)
	}
	list, err := c.VolumeList(ctx, client.VolumeListOptions{Filters: make(client.Filters).Add("label", "com.docker.compose.project=shop")})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "shop_data" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.VolumeRemove(ctx, "shop_data", client.VolumeRemoveOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := c.VolumeRemove(ctx, "shop_data", client.VolumeRemoveOptions{}); !errdefs.IsNotFound(err) {
		t.Errorf("gone: %v", err)
	}
	if _, err := c.VolumeRemove(ctx, "shop_data", client.VolumeRemoveOptions{Force: true}); err != nil {
		t.Errorf("gone, by force: %v", err)
	}
}
