package contract_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// TestSharedNamespaces: who joins the ipc or pid namespace of another service sees its shared memory and its processes, also after
// that one has been killed and its policy has started it again.
func TestSharedNamespaces(t *testing.T) {
	sandbox.Require(t)
	archive := busybox(t)
	dir, err := os.MkdirTemp("/run", "shared-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	sandbox.LeavesNothing(t)
	k := &kernel{roots: roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}}
	set := k.Open(t)
	t.Cleanup(func() { k.Kill(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*sandbox.Patience)
	t.Cleanup(cancel)
	_, err = set.Images.Load(ctx, bytes.NewReader(archive), nil)
	must(t, err)
	e, err := reconcile.New(ctx, set, reconcile.Options{Roots: k.roots, Store: &fake.Store{}})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close(context.WithoutCancel(ctx))) })

	service := func(name, command string) *spec.Service {
		return &spec.Service{Name: name, Image: "bb:1", Replicas: 1, NetworkMode: "none", Command: []string{"sh", "-c", command}, DependsOn: map[string]spec.Dependency{}}
	}
	own := service("own", "echo hello > /dev/shm/greeting; exec sleep 1000")
	own.Restart.Name, own.ShmSize = "always", 1<<20
	join := service("join", "exec sleep 1000")
	join.IPC, join.PID = "service:own", "service:own"
	p := &spec.Project{Name: "shop", Dir: dir, Services: map[string]*spec.Service{"own": own, "join": join}}
	must(t, e.Up(ctx, p, ask.UpOptions{}, nil))
	t.Cleanup(func() {
		zero := time.Duration(0)
		must(t, e.Down(context.WithoutCancel(ctx), "shop", ask.DownOptions{Timeout: &zero}, nil))
	})

	rows := func() (own, join ask.Container) {
		list, err := e.Containers(ctx, "shop")
		must(t, err)
		for _, c := range list {
			if c.Service == "own" {
				own = c
			} else {
				join = c
			}
		}
		return own, join
	}
	shared := func() error {
		var out bytes.Buffer
		x, err := e.Exec(ctx, "shop", ask.ExecOptions{Service: "join", Args: []string{"sh", "-c", "cat /dev/shm/greeting; ps"}}, process.IO{Stdout: &out, Stderr: &out})
		if err != nil || x.Code != 0 || !strings.Contains(out.String(), "hello") || strings.Count(out.String(), "sleep 1000") < 2 {
			return fmt.Errorf("join sees %q, %d, %v", out.String(), x.Code, err)
		}
		o, j := rows()
		for _, ns := range []string{"ipc", "pid"} {
			a, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", o.Pid, ns))
			if err != nil {
				return err
			}
			if b, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", j.Pid, ns)); err != nil || a != b {
				return fmt.Errorf("%s namespaces: own is in %s, join in %s (%v)", ns, a, b, err)
			}
		}
		return nil
	}
	// The file is written a moment after the start.
	sandbox.Eventually(t, "join shares own's namespaces", func() bool { return shared() == nil })

	before, _ := rows()
	must(t, unix.Kill(before.Pid, unix.SIGKILL))
	sandbox.Eventually(t, "join shares the namespaces of own's next run", func() bool {
		o, j := rows()
		return o.State == "running" && o.Pid != before.Pid && j.State == "running" && shared() == nil
	})
}
