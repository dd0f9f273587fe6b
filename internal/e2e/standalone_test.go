package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	dc "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/sandbox"
)

// engineAPI is a client of docker's on a host, for tests of containers that belong to no file.
type engineAPI struct {
	*client.Client
	t    *testing.T
	host *host
}

func newEngineAPI(t *testing.T, h *host) *engineAPI {
	t.Helper()
	a := &engineAPI{h.dockerClient(t), t, h}
	if _, err := a.ImageInspect(t.Context(), "busybox"); err == nil || h.registry == nil {
		return a
	}
	pull, err := a.ImagePull(t.Context(), "busybox", client.ImagePullOptions{})
	if err == nil {
		_, err = io.Copy(io.Discard, pull)
		pull.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// create makes a container that runs line in a shell, without a network. It goes with the test.
func (a *engineAPI) create(name, line string, change func(*dc.Config, *dc.HostConfig)) string {
	a.t.Helper()
	c, h := &dc.Config{Image: "busybox", Cmd: []string{"sh", "-c", line}}, &dc.HostConfig{NetworkMode: "none"}
	if change != nil {
		change(c, h)
	}
	made, err := a.ContainerCreate(a.t.Context(), client.ContainerCreateOptions{Config: c, HostConfig: h, Name: name})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { a.remove(made.ID) })
	return made.ID
}

// remove is what is done at the end, whatever became of the container.
func (a *engineAPI) remove(id string) {
	a.t.Helper()
	_, err := a.ContainerRemove(context.Background(), id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !strings.Contains(err.Error(), "No such container") {
		a.t.Error(err)
	}
}

func (a *engineAPI) start(id string) {
	a.t.Helper()
	if _, err := a.ContainerStart(a.t.Context(), id, client.ContainerStartOptions{}); err != nil {
		a.t.Fatal(err)
	}
}

// state is the container's, "gone" when there is none.
func (a *engineAPI) state(id string) string {
	a.t.Helper()
	got, err := a.ContainerInspect(a.t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		if strings.Contains(err.Error(), "No such container") {
			return "gone"
		}
		a.t.Fatal(err)
	}
	return string(got.Container.State.Status)
}

func (a *engineAPI) eventually(id, state string) {
	a.t.Helper()
	sandbox.Eventually(a.t, fmt.Sprintf("%.12s is %s", id, state), func() bool { return a.state(id) == state })
}

// exec runs a command and returns what it has written and its exit code.
func (a *engineAPI) exec(id string, args ...string) (string, int) {
	a.t.Helper()
	made, err := a.ExecCreate(a.t.Context(), id, client.ExecCreateOptions{Cmd: args, AttachStdout: true, AttachStderr: true})
	if err != nil {
		a.t.Fatal(err)
	}
	got, err := a.ExecAttach(a.t.Context(), made.ID, client.ExecAttachOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	defer got.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, got.Reader); err != nil {
		a.t.Fatal(err)
	}
	end, err := a.ExecInspect(a.t.Context(), made.ID, client.ExecInspectOptions{})
	if err != nil || end.Running {
		a.t.Fatalf("%+v, %v", end, err)
	}
	return out.String(), end.ExitCode
}

func (a *engineAPI) logs(id string, o client.ContainerLogsOptions) string {
	a.t.Helper()
	o.ShowStdout, o.ShowStderr = true, true
	r, err := a.ContainerLogs(a.t.Context(), id, o)
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, r); err != nil {
		a.t.Fatal(err)
	}
	return out.String()
}

// TestStandaloneRun is docker run --rm -i: attached before the start, from the first byte to the last, with input whose end is the container's; and it goes with its end.
func TestStandaloneRun(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	id := a.create("run", "echo first; cat; echo last >&2; exit 3", func(c *dc.Config, h *dc.HostConfig) {
		c.AttachStdin, c.AttachStdout, c.AttachStderr, c.OpenStdin, c.StdinOnce, h.AutoRemove = true, true, true, true, true, true
		c.Volumes = map[string]struct{}{"/data": {}}
	})
	io1, err := a.ContainerAttach(t.Context(), id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer io1.Close()
	end := a.ContainerWait(t.Context(), id, client.ContainerWaitOptions{Condition: dc.WaitConditionRemoved})
	a.start(id)
	if _, err := io1.Conn.Write([]byte("typed\n")); err != nil {
		t.Fatal(err)
	}
	if err := io1.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &errs, io1.Reader); err != nil || out.String() != "first\ntyped\n" || errs.String() != "last\n" {
		t.Errorf("%q, %q, %v", out.String(), errs.String(), err)
	}
	select {
	case got := <-end.Result:
		if got.StatusCode != 3 || got.Error != nil {
			t.Errorf("ended with %+v", got)
		}
	case err := <-end.Error:
		t.Fatal(err)
	}
	equal(t, "after its end it is", a.state(id), "gone")
}

// TestStandaloneLife: what docker's client does with a container, one after the other.
func TestStandaloneLife(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	ctx := t.Context()
	id := a.create("life", `trap "exit 5" TERM; echo up $A; while :; do sleep 0.1; done`, func(c *dc.Config, h *dc.HostConfig) {
		c.Env, c.Labels = []string{"A=x"}, map[string]string{"com.docker.compose.project": "life", "com.docker.compose.service": "app", "own": "1"}
		h.Memory, h.RestartPolicy = 64<<20, dc.RestartPolicy{Name: "always"}
	})
	if _, err := a.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "busybox", Name: "life"}); err == nil || !strings.Contains(err.Error(), "already in use") {
		t.Errorf("a second one of the name: %v", err)
	}
	if _, err := a.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "nosuch:1"}); err == nil || !strings.Contains(err.Error(), "No such image: nosuch:1") {
		t.Errorf("without an image: %v", err)
	}
	equal(t, "made, it is", a.state("life"), "created")
	a.start(id[:8])
	equal(t, "started, it is", a.state("/life"), "running")
	sandbox.Eventually(t, "it has said something", func() bool { return a.logs(id, client.ContainerLogsOptions{}) == "up x\n" })
	if out, code := a.exec(id, "sh", "-c", "echo $A; exit 4"); out != "x\n" || code != 4 {
		t.Errorf("exec: %q, %d", out, code)
	}
	if out, code := a.exec(id, "nosuch"); code != 127 || !strings.Contains(out, "not found") {
		t.Errorf("exec of what is not there: %q, %d", out, code)
	}
	got, err := a.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	c := got.Container
	if err != nil || c.Name != "/life" || len(c.Config.Labels) != 3 || c.Config.Labels["own"] != "1" || c.HostConfig.Memory != 64<<20 || c.HostConfig.RestartPolicy.Name != "always" || c.State.Pid == 0 {
		t.Errorf("inspect: %+v, %v", c, err)
	}
	// Its labels make it nobody's.
	if r := h.exec(t, t.TempDir(), "", nil, "--project-name", "life", "ps", "--all", "--quiet"); r.code != 0 || strings.TrimSpace(r.stdout) != "" {
		t.Errorf("stack ps of the project that its label names: %s", r)
	}
	if r := h.exec(t, t.TempDir(), "", nil, "--project-name", "life", "down", "--timeout", "0"); r.code != 0 {
		t.Error(r)
	}
	equal(t, "after stack down of that project it is", a.state(id), "running")

	if _, err := a.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: "other"}); err != nil {
		t.Error(err)
	}
	equal(t, "by its old name it is", a.state("life"), "gone")
	if _, err := a.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: &dc.Resources{Memory: 80 << 20, MemorySwap: 160 << 20}, RestartPolicy: &dc.RestartPolicy{Name: "unless-stopped"}}); err != nil {
		t.Error(err)
	}
	limit, _ := a.exec(id, "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max")
	equal(t, "its limit is", strings.TrimSpace(limit), fmt.Sprint(80<<20))
	if _, err := a.ContainerRemove(ctx, id, client.ContainerRemoveOptions{}); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("removed while it runs: %v", err)
	}
	next := a.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: dc.WaitConditionNextExit})
	if _, err := a.ContainerStop(ctx, id, client.ContainerStopOptions{}); err != nil {
		t.Error(err)
	}
	if end := <-next.Result; end.StatusCode != 5 {
		t.Errorf("ended with %+v", end)
	}
	equal(t, "stopped, it is", a.state("other"), "exited")
	if _, err := a.ContainerKill(ctx, id, client.ContainerKillOptions{}); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("killed while it does not run: %v", err)
	}
	if _, err := a.ContainerRestart(ctx, id, client.ContainerRestartOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := a.ContainerPause(ctx, id, client.ContainerPauseOptions{}); err != nil {
		t.Error(err)
	}
	equal(t, "paused, it is", a.state(id), "paused")
	if _, err := a.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{}); err != nil {
		t.Error(err)
	}
	top, err := a.ContainerTop(ctx, id, client.ContainerTopOptions{})
	if err != nil || len(top.Processes) == 0 || len(top.Titles) != 8 {
		t.Errorf("top: %+v, %v", top, err)
	}
	if _, err := a.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		t.Error(err)
	}
	equal(t, "killed, it is", a.state(id), "exited")
	if _, err := a.ContainerRemove(ctx, id, client.ContainerRemoveOptions{}); err != nil {
		t.Error(err)
	}
	equal(t, "removed, it is", a.state(id), "gone")
}

// TestStandaloneCopy: files go into a container before its start, and come out of it.
func TestStandaloneCopy(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	id := a.create("", "cat /run/in; stat -c %u:%g:%a /run/in", nil)
	var in bytes.Buffer
	w := tar.NewWriter(&in)
	w.WriteHeader(&tar.Header{Name: "in", Mode: 0o440, Size: 3, Uid: 7, Gid: 8, Typeflag: tar.TypeReg})
	w.Write([]byte("hi\n"))
	w.Close()
	if _, err := a.CopyToContainer(t.Context(), id, client.CopyToContainerOptions{DestinationPath: "/run", Content: &in}); err != nil {
		t.Fatal(err)
	}
	stat, err := a.ContainerStatPath(t.Context(), id, client.ContainerStatPathOptions{Path: "/run/in"})
	if err != nil || stat.Stat.Name != "in" || stat.Stat.Size != 3 || stat.Stat.Mode.Perm() != 0o440 {
		t.Errorf("stat: %+v, %v", stat, err)
	}
	out, err := a.CopyFromContainer(t.Context(), id, client.CopyFromContainerOptions{SourcePath: "/run/in"})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Content.Close()
	r := tar.NewReader(out.Content)
	head, err := r.Next()
	if err != nil || head.Name != "in" || head.Uid != 7 {
		t.Errorf("copied out: %+v, %v", head, err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "hi\n" {
		t.Errorf("copied out: %q, %v", text, err)
	}
	// Clients rename what they get: the names begin as dockerd has them.
	for path, want := range map[string]string{"/run": "run/ run/in", "/run/": "run/ run/in", "/run/.": "./ ./in", "/": "/ /"} {
		out, err := a.CopyFromContainer(t.Context(), id, client.CopyFromContainerOptions{SourcePath: path})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for r := tar.NewReader(out.Content); len(names) < 2; {
			head, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, head.Name)
		}
		out.Content.Close()
		if got := strings.Join(names, " "); !strings.HasPrefix(got, want) {
			t.Errorf("%s is copied out as %s, expected %s", path, got, want)
		}
	}
	if _, err := a.ContainerStatPath(t.Context(), id, client.ContainerStatPathOptions{Path: "/nosuch"}); err == nil {
		t.Error("there is what there is not")
	}
	end := a.ContainerWait(t.Context(), id, client.ContainerWaitOptions{Condition: dc.WaitConditionNextExit})
	a.start(id)
	<-end.Result
	equal(t, "it has seen", a.logs(id, client.ContainerLogsOptions{}), "hi\n7:8:440\n")
}

// TestStandaloneOverDaemons: a daemon that is killed between any two calls loses nothing of a container that belongs to no file, and undoes nothing.
func TestStandaloneOverDaemons(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	again := func() {
		t.Helper()
		h.killDaemon(t)
		h.startDaemon(t)
	}
	ctx := t.Context()
	const stays = `trap "exit 5" TERM; while :; do sleep 0.1; done`
	id := a.create("kept", stays, func(c *dc.Config, h *dc.HostConfig) {
		c.Labels = map[string]string{"com.docker.compose.project": "kept", "com.docker.compose.service": "app", "com.docker.compose.container-number": "1"}
		h.RestartPolicy = dc.RestartPolicy{Name: "always"}
		c.Volumes = map[string]struct{}{"/data": {}}
	})
	gone := a.create("", "exit 0", func(_ *dc.Config, h *dc.HostConfig) { h.AutoRemove = true })
	again()
	equal(t, "made, over a daemon, it is", a.state("kept"), "created")
	equal(t, "made, over a daemon, the one that goes with its end is", a.state(gone), "created")
	a.start(id)
	again()
	got, err := a.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || got.Container.State.Status != "running" || got.Container.RestartCount != 0 || got.Container.Config.Labels["com.docker.compose.project"] != "kept" {
		t.Errorf("started, over a daemon: %+v, %v", got.Container.State, err)
	}
	pid := got.Container.State.Pid
	if _, err := a.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: "called"}); err != nil {
		t.Fatal(err)
	}
	again()
	if got, err = a.ContainerInspect(ctx, "called", client.ContainerInspectOptions{}); err != nil || got.Container.State.Pid != pid {
		t.Errorf("renamed, over a daemon: %+v, %v; its process was %d", got.Container.State, err, pid)
	}
	// Its policy holds over daemons, also for an end that none has seen.
	h.killDaemon(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.startDaemon(t)
	sandbox.Eventually(t, "its policy has started it again", func() bool {
		got, err := a.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		return err == nil && got.Container.State.Status == "running" && got.Container.State.Pid != pid
	})
	if _, err := a.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: new(int)}); err != nil {
		t.Fatal(err)
	}
	again()
	equal(t, "stopped, over a daemon, it is", a.state(id), "exited")
	a.remove(id)
	again()
	equal(t, "removed, over a daemon, it is", a.state(id), "gone")
	a.start(gone)
	a.eventually(gone, "gone")
	sandbox.Eventually(t, "nothing is left", func() bool {
		return len(below(t, h.state("containers")))+len(below(t, h.state("volumes")))+len(below(t, h.state("snapshots"))) == 0
	})
}

// TestStandaloneNetwork: on a network of a client's, with an address and names of its choice, a published port, and another container in its namespaces.
func TestStandaloneNetwork(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	ctx := t.Context()
	subnet := netip.MustParsePrefix("10.77.3.0/24")
	if _, err := a.NetworkCreate(ctx, "far", client.NetworkCreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := a.NetworkRemove(context.Background(), "far", client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	made, err := a.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:             "server",
		Config:           &dc.Config{Image: "busybox", Cmd: []string{"sh", "-c", "echo page >/index.html; exec httpd -f -p 80 -h /"}},
		HostConfig:       &dc.HostConfig{NetworkMode: "far", PortBindings: network.PortMap{network.MustParsePort("80/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "18099"}}}},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"far": {Aliases: []string{"pages"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("10.77.3.9")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.remove(made.ID) })
	a.start(made.ID)
	sandbox.Eventually(t, "the published port answers", func() bool {
		code, text, _, err := get("http://127.0.0.1:18099/index.html")
		return err == nil && code == 200 && text == "page\n"
	})
	got, err := a.ContainerInspect(ctx, made.ID, client.ContainerInspectOptions{})
	c := got.Container
	place := c.NetworkSettings.Networks["far"]
	if err != nil || place == nil || place.IPAddress.String() != "10.77.3.9" || place.NetworkID == "" || len(c.NetworkSettings.Ports[network.MustParsePort("80/tcp")]) != 1 {
		t.Errorf("inspect: %+v, %v", c.NetworkSettings, err)
	}
	inspected, err := a.NetworkInspect(ctx, "far", client.NetworkInspectOptions{})
	if err != nil || inspected.Network.ID != place.NetworkID || inspected.Network.Containers[made.ID].EndpointID != place.EndpointID {
		t.Errorf("the network says %+v, %v; the container %+v", inspected.Network, err, place)
	}
	client1 := a.create("", "wget -qO- http://pages/index.html && wget -qO- http://server/index.html", func(_ *dc.Config, h *dc.HostConfig) { h.NetworkMode = "far" })
	inside := a.create("", "wget -qO- http://127.0.0.1/index.html; kill -0 1 && ps | grep -c httpd", func(_ *dc.Config, h *dc.HostConfig) {
		h.NetworkMode, h.PidMode = dc.NetworkMode("container:"+made.ID), dc.PidMode("container:server")
	})
	for id, want := range map[string]string{client1: "page\npage\n", inside: "page\n"} {
		end := a.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: dc.WaitConditionNextExit})
		a.start(id)
		if x := <-end.Result; x.StatusCode != 0 {
			t.Errorf("%.12s ended with %d", id, x.StatusCode)
		}
		if out := a.logs(id, client.ContainerLogsOptions{}); !strings.HasPrefix(out, want) {
			t.Errorf("%.12s has seen %q, expected %q", id, out, want)
		}
	}
}

// TestStandaloneLogs: what is asked for of a log, and following it ends with the run.
func TestStandaloneLogs(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	id := a.create("", "echo one; echo two; read x; echo three; printf rest; echo err >&2", func(c *dc.Config, _ *dc.HostConfig) { c.OpenStdin = true })
	a.start(id)
	sandbox.Eventually(t, "two lines are there", func() bool { return a.logs(id, client.ContainerLogsOptions{}) == "one\ntwo\n" })
	equal(t, "the last line", a.logs(id, client.ContainerLogsOptions{Tail: "1"}), "two\n")
	if stamped := a.logs(id, client.ContainerLogsOptions{Tail: "1", Timestamps: true}); len(stamped) < 30 || !strings.HasSuffix(stamped, "Z two\n") {
		t.Errorf("with its time: %q", stamped)
	}
	follow, err := a.ContainerLogs(t.Context(), id, client.ContainerLogsOptions{ShowStdout: true, Follow: true, Tail: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Close()
	stdin, err := a.ContainerAttach(t.Context(), id, client.ContainerAttachOptions{Stream: true, Stdin: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if _, err := stdin.Conn.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, io.Discard, follow); err != nil || out.String() != "three\nrest" {
		t.Errorf("followed: %q, %v", out.String(), err)
	}
}
