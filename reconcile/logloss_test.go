package reconcile_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

// A log that is not written is told while it is so: by an event, to who follows, to who reads, and in the list.
func TestIncompleteLogIsTold(t *testing.T) {
	b := live(t)
	b.up(project(service("a")), ask.UpOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events := b.engine.Events(ctx, "shop", event.Window{})
	notices := make(chan string, 4)
	go b.engine.Logs(ctx, "shop", ask.LogOptions{Follow: true, Tail: -1}, func(e ask.LogEntry) error { //nolint:errcheck // ends with ctx
		if e.Notice || string(e.Line) == "begin" {
			notices <- e.Container + " " + string(e.Line)
		}
		return nil
	})
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-notices:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%q did not come", want)
		}
	}
	b.writeLog(b.logOf("a-1"), time.Now(), "begin")
	expect("shop-a-1 begin")

	all, err := b.engine.Containers(ctx, "shop")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	b.host.FillLog(all[0].ID, "no space left on device")
	expect("shop-a-1 output is not logged at present: no space left on device")
	if all, err = b.engine.Containers(ctx, "shop"); err != nil || all[0].LogError != "no space left on device" {
		t.Errorf("the list says %q %v", all[0].LogError, err)
	}
	if got := b.logs(ask.LogOptions{Tail: -1}); !slices.Contains(got, "shop-a-1 output is not logged at present: no space left on device") {
		t.Errorf("logs: %q", got)
	}
	b.host.FillLog(all[0].ID, "")
	var said []string
	for ev := range events {
		if ev.Name == "shop-a-1" {
			if said = append(said, string(ev.Phase)+" "+ev.Text); ev.Text == "Log written again" {
				break
			}
		}
	}
	if len(said) != 2 || said[0] != string(event.Warning)+" Log incomplete" {
		t.Errorf("events %q", said)
	}
	if got := b.logs(ask.LogOptions{Tail: -1}); slices.Contains(got, "shop-a-1 output is not logged at present: no space left on device") {
		t.Errorf("logs still say: %q", got)
	}
}
