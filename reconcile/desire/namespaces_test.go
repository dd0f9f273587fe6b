package desire

import (
	"testing"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// TestNamespaceOfAContainer: a container that the file itself names is its service's, and comes first; another is looked for when it is joined.
func TestNamespaceOfAContainer(t *testing.T) {
	p := &spec.Project{Name: "media", Services: map[string]*spec.Service{
		"vpn":     {Name: "vpn", Image: "x", ContainerName: "gluetun", Replicas: 1},
		"torrent": {Name: "torrent", Image: "x", Replicas: 1, NetworkMode: "container:gluetun", PID: "container:elsewhere", IPC: "container:gluetun"},
		"web":     {Name: "web", Image: "x", Replicas: 1, NetworkMode: "container:elsewhere"},
	}}
	d, diags := Of(p)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	torrent, web := d.Services["torrent"], d.Services["web"]
	if s := torrent.Spec; s.NetworkMode != "service:vpn" || s.PID != "container:elsewhere" || s.IPC != "service:vpn" {
		t.Errorf("torrent lives in %q, %q, %q", s.NetworkMode, s.PID, s.IPC)
	}
	if got, want := torrent.DependsOn["vpn"], (plan.Dependency{Condition: plan.Started, Restart: true, Required: true}); got != want {
		t.Errorf("torrent depends on vpn by %+v, expected %+v", got, want)
	}
	if web.Spec.NetworkMode != "container:elsewhere" || len(web.DependsOn) != 0 {
		t.Errorf("web lives in %q, and depends on %v", web.Spec.NetworkMode, web.DependsOn)
	}
}
