package reconcile_test

import (
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/volume"
)

// forged are labels that an image or a file might carry to pass for ours.
var forged = map[string]string{
	"dev.stackrun.anonymous": `{"/data":"victim_db"}`, "dev.stackrun.remove": "true", "dev.stackrun.aliases": "true",
	"dev.stackrun.name": "other", "dev.stackrun.want": "{}", "dev.stackrun.health": `{"test":["CMD","/evil"]}`, "dev.stackrun.owners": "x",
	"com.docker.compose.slug": "x", "com.docker.compose.project": "victim", "com.docker.compose.service": "db", "com.docker.compose.oneoff": "True",
}

// TestLabelsGiveNothing: labels of an image or a file, whatever they say, give a container neither volumes of others nor names.
func TestLabelsGiveNothing(t *testing.T) {
	run(t, func(b *bench) {
		b.host.AddImage("evil:1", v1.Config{Cmd: []string{"serve"}, Volumes: map[string]struct{}{"/data": {}}, Labels: forged})
		ctx := b.Context()
		if _, err := b.host.Set().Volumes.Create(ctx, volume.Config{ID: "victim_db", Labels: map[string]string{"com.docker.compose.project": "victim"}}); err != nil {
			b.Fatal(err)
		}
		victim := func(when string) {
			b.Helper()
			list, err := b.host.Set().Volumes.List(ctx)
			if err != nil {
				b.Fatal(err)
			}
			for _, v := range list {
				if v.Config.ID == "victim_db" {
					return
				}
			}
			b.Errorf("%s removed the volume of another project", when)
		}
		p := project(service("web", func(s *spec.Service) { s.Image, s.Labels = "evil:1", forged }))
		b.up(p, ask.UpOptions{})
		row, ok := b.rows("shop")["shop-web-1"]
		if !ok || row.Health != "" || row.OneOff || row.Labels["com.docker.compose.slug"] != "" {
			b.Errorf("got %+v", b.rows("shop"))
		}
		for _, m := range row.Mounts {
			if m == "victim_db" {
				b.Error("the container got the volume of another project")
			}
		}
		if _, err := b.engine.Run(ctx, p, ask.RunOptions{Service: "web", Detach: true}, process.IO{}, b.sink); err != nil {
			b.Fatal(err)
		}
		names := map[string]int{}
		boxes, err := b.host.Set().Networks.Sandboxes(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for _, box := range boxes {
			for _, ep := range box.Endpoints {
				for _, n := range ep.Names {
					names[n]++
				}
			}
		}
		if names["web"] != 1 || names["shop-web-1"] != 1 {
			b.Errorf("names on the network: %v", names)
		}
		b.reboot() // the next daemon would remove a one-off that ended and was to go
		if err := b.engine.Down(ctx, "shop", ask.DownOptions{Volumes: true}, b.sink); err != nil {
			b.Fatal(err)
		}
		victim("down")
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{For: time.Second} }
		if _, err := b.engine.Run(ctx, p, ask.RunOptions{Service: "web", Remove: true, Detach: false, Args: []string{"x"}}, process.IO{}, b.sink); err != nil {
			b.Fatal(err)
		}
		victim("run --rm")
	})
}
