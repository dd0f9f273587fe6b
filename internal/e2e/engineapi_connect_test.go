package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	dc "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/sandbox"
)

// connect puts a container on a network.
func (a *engineAPI) connect(id, network string, at *network.EndpointSettings) error {
	_, err := a.NetworkConnect(a.t.Context(), network, client.NetworkConnectOptions{Container: id, EndpointConfig: at})
	return err
}

func (a *engineAPI) disconnect(id, network string) error {
	_, err := a.NetworkDisconnect(a.t.Context(), network, client.NetworkDisconnectOptions{Container: id})
	return err
}

func (a *engineAPI) network(name, subnet string) string {
	a.t.Helper()
	made, err := a.NetworkCreate(a.t.Context(), name, client.NetworkCreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix(subnet)}}}})
	if err != nil {
		a.t.Fatal(err)
	}
	return made.ID
}

// on are the addresses of a container by network.
func (a *engineAPI) on(id string) map[string]netip.Addr {
	a.t.Helper()
	got, err := a.ContainerInspect(a.t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	all := map[string]netip.Addr{}
	for name, e := range got.Container.NetworkSettings.Networks {
		all[name] = e.IPAddress
	}
	return all
}

// TestEngineAPIConnect: containers come onto networks and leave them while they run, and while they do not; what they keep is not touched, and a daemon in between changes nothing.
func TestEngineAPIConnect(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	a.network("front", "10.78.1.0/24")
	back := a.network("back", "10.78.2.0/24")
	on := func(mode string) func(*dc.Config, *dc.HostConfig) {
		return func(_ *dc.Config, h *dc.HostConfig) { h.NetworkMode = dc.NetworkMode(mode) }
	}
	const serves = `mkdir /www; echo hello > /www/index.html; exec httpd -f -h /www`
	web := a.create("web", serves, on("front"))
	probe := a.create("probe", "exec sleep infinity", on("back"))
	a.start(web)
	a.start(probe)
	first := a.on(web)["front"]
	fetch := func(host string) bool {
		if _, err := netip.ParseAddr(host); err != nil { // a static busybox looks up no names for wget
			out, code := a.exec(probe, "nslookup", host)
			_, address, found := strings.Cut(out, "Name:")
			if _, address, found = strings.Cut(address, "Address: "); code != 0 || !found {
				return false
			}
			host, _, _ = strings.Cut(address, "\n")
		}
		out, code := a.exec(probe, "wget", "-qO-", "http://"+host+"/")
		return code == 0 && out == "hello\n"
	}
	if fetch("web") {
		t.Error("it is reached from another network")
	}
	if err := a.connect(web, back[:10], &network.EndpointSettings{Aliases: []string{"page"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("10.78.2.77")}}); err != nil {
		t.Fatal(err)
	}
	if got := a.on(web); got["front"] != first || got["back"].String() != "10.78.2.77" {
		t.Errorf("%v", got)
	}
	for _, host := range []string{"web", "page", "10.78.2.77", web[:12]} {
		sandbox.Eventually(t, "it is reached as "+host, func() bool { return fetch(host) })
	}
	if out, _ := a.exec(web, "ip", "-o", "link"); strings.Count(out, "@if") != 2 {
		t.Errorf("its interfaces: %s", out)
	}
	if err := a.connect(web, "back", nil); !errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("twice: %v", err)
	}
	if err := a.connect(web, "nowhere", nil); !errdefs.IsNotFound(err) {
		t.Errorf("to no network: %v", err)
	}
	if err := a.connect(probe, "front", &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: first}}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("at a taken address: %v", err)
	}
	if got := a.on(probe); len(got) != 1 {
		t.Errorf("what was refused is on record: %v", got)
	}
	if err := a.connect(web, "host", nil); !errdefs.IsPermissionDenied(err) {
		t.Errorf("to the host's: %v", err)
	}

	h.killDaemon(t)
	h.startDaemon(t)
	sandbox.Eventually(t, "it is reached after the daemon", func() bool { return fetch("page") })
	if err := a.disconnect(web, "front"); err != nil {
		t.Fatal(err)
	}
	if got := a.on(web); len(got) != 1 || got["back"].String() != "10.78.2.77" {
		t.Errorf("%v", got)
	}
	if !fetch("page") {
		t.Error("with the network that it left went another")
	}
	if err := a.disconnect(web, "front"); !errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), "is not connected") {
		t.Errorf("twice: %v", err)
	}

	// While it does not run it is on record, and its next start goes by that.
	if _, err := a.ContainerStop(t.Context(), web, client.ContainerStopOptions{Timeout: new(int)}); err != nil {
		t.Fatal(err)
	}
	if err := a.disconnect(web, "back"); err != nil {
		t.Fatal(err)
	}
	if err := a.connect(web, "front", nil); err != nil {
		t.Fatal(err)
	}
	a.start(web)
	if got := a.on(web); len(got) != 1 || !netip.MustParsePrefix("10.78.1.0/24").Contains(got["front"]) {
		t.Errorf("%v", got)
	}
	inspected, err := a.NetworkInspect(t.Context(), "front", client.NetworkInspectOptions{})
	if err != nil || len(inspected.Network.Containers) != 1 || inspected.Network.Containers[web].Name != "web" {
		t.Errorf("%+v, %v", inspected.Network.Containers, err)
	}
	a.remove(web)
	a.remove(probe)
	for _, name := range []string{"front", "back"} {
		if _, err := a.NetworkRemove(t.Context(), name, client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
	bridgesGone(t)
}

// bridgesGone waits for what a removal leaves to the daemon, which is killed next.
func bridgesGone(t *testing.T) {
	t.Helper()
	sandbox.Eventually(t, "the bridges are gone", func() bool {
		links, err := netlink.LinkList()
		return err == nil && !slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Type() == "bridge" })
	})
}

// TestEngineAPIDefaultNetwork: who names no network is on bridge, with an address and published ports, and without names.
func TestEngineAPIDefaultNetwork(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	before, err := a.NetworkInspect(t.Context(), "bridge", client.NetworkInspectOptions{})
	if err != nil || len(before.Network.IPAM.Config) != 0 {
		t.Errorf("%+v, %v", before, err)
	}
	nameless := func(_ *dc.Config, h *dc.HostConfig) { h.NetworkMode = "" }
	publishing := func(c *dc.Config, h *dc.HostConfig) {
		h.NetworkMode = ""
		port := network.MustParsePort("80/tcp")
		c.ExposedPorts = network.PortSet{port: struct{}{}}
		h.PortBindings = network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "18741"}}}
	}
	web := a.create("web", `mkdir /www; echo hello > /www/index.html; exec httpd -f -h /www`, publishing)
	other := a.create("other", "exec sleep infinity", nameless)
	late := a.create("late", "exec sleep infinity", publishing)
	a.start(web)
	a.start(other)
	sandbox.Eventually(t, "the published port answers", func() bool {
		code, body, _, err := get("http://127.0.0.1:18741/")
		return err == nil && code == 200 && body == "hello\n"
	})
	// Who has the port is told by the name that its user knows, which no network does here.
	if _, err := a.ContainerStart(t.Context(), late, client.ContainerStartOptions{}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:18741/tcp: port is already allocated, to container web") {
		t.Errorf("a port that is taken: %v", err)
	}
	a.remove(late)
	address := a.on(web)["bridge"]
	if out, code := a.exec(other, "wget", "-qO-", "http://"+address.String()+"/"); code != 0 || out != "hello\n" {
		t.Errorf("by its address: %d, %s", code, out)
	}
	if out, code := a.exec(other, "nslookup", "web"); code == 0 {
		t.Errorf("a name is answered on the default network: %s", out)
	}
	after, err := a.NetworkInspect(t.Context(), "bridge", client.NetworkInspectOptions{})
	if err != nil || after.Network.ID != before.Network.ID || len(after.Network.IPAM.Config) != 1 || !after.Network.IPAM.Config[0].Subnet.Contains(address) || len(after.Network.Containers) != 2 {
		t.Errorf("%+v, %v", after, err)
	}
	h.killDaemon(t)
	h.startDaemon(t)
	if again, err := a.NetworkInspect(t.Context(), "bridge", client.NetworkInspectOptions{}); err != nil || again.Network.ID != before.Network.ID || len(again.Network.Containers) != 2 {
		t.Errorf("after the daemon: %+v, %v", again, err)
	}
	if got := h.exec(t, h.dir, "", nil, "gc"); got.code != 0 || strings.Contains(got.stdout, "bridge") {
		t.Errorf("gc: %s", got)
	}
	a.remove(web)
	a.remove(other)
	// The next daemon takes it away, and it is shown as before.
	h.killDaemon(t)
	h.startDaemon(t)
	bridgesGone(t)
	if again, err := a.NetworkInspect(t.Context(), "bridge", client.NetworkInspectOptions{}); err != nil || again.Network.ID != before.Network.ID || len(again.Network.IPAM.Config) != 0 {
		t.Errorf("%+v, %v", again, err)
	}
}
