package reconcile_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

func TestMemoryVolumeIsForOneContainer(t *testing.T) {
	run(t, func(b *bench) {
		mounted := func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}} }
		p := project(service("a", mounted), service("b"))
		p.Volumes["data"].DriverOpts = map[string]string{"type": "tmpfs", "device": "tmpfs"}
		b.up(p, ask.UpOptions{})
		mounted(p.Services["b"])
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "a volume of type tmpfs is for one container: 2 containers") {
			b.Errorf("two services: %v", err)
		}
		p.Services["b"].Mounts, p.Services["a"].Replicas = nil, 3
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "3 containers") {
			b.Errorf("three replicas: %v", err)
		}
	})
}
