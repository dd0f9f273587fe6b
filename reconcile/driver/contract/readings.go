package contract

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// processes: those of a container are known while it runs, also when it is paused.
func processes(b *bench) {
	ctx := b.Context()
	id, first := b.start("sleep", "1000")
	look := func(when string) {
		b.Helper()
		list, err := b.Containers.Processes(ctx, id)
		if err != nil || len(list) != 1 || list[0].Pid != first.Pid || list[0].PPid == 0 || list[0].Name != "sleep" || !slices.Equal(list[0].Args, []string{"sleep", "1000"}) {
			b.Errorf("%s: the processes are %+v, %v", when, list, err)
		}
	}
	look("running")
	b.must(b.Containers.Pause(ctx, id))
	look("paused")
	b.must(b.Containers.Kill(ctx, id, unix.SIGKILL))
	_, err := b.Containers.Wait(ctx, id)
	b.must(err)
	_, err = b.Containers.Processes(ctx, id)
	b.is("Processes of what does not run", err, errdefs.ErrConflict)
	_, err = b.Containers.Processes(ctx, nobody)
	b.is("Processes of nobody", err, errdefs.ErrNotFound)
	b.remove(id)
}

// listening: the ports of a container are known while it runs, and nobody listens in a network namespace that was made for it.
func listening(b *bench) {
	ctx := b.Context()
	id, _ := b.start("sleep", "1000")
	if ports, err := b.Containers.Listening(ctx, id); err != nil || len(ports) > 0 {
		b.Errorf("sleep listens on %v, %v", ports, err)
	}
	b.must(b.Containers.Kill(ctx, id, unix.SIGKILL))
	_, err := b.Containers.Wait(ctx, id)
	b.must(err)
	_, err = b.Containers.Listening(ctx, id)
	b.is("Listening of what does not run", err, errdefs.ErrConflict)
	_, err = b.Containers.Listening(ctx, nobody)
	b.is("Listening of nobody", err, errdefs.ErrNotFound)
	b.remove(id)
}

// usage: what a container uses is known while it runs, also when it is paused, and never becomes less.
func usage(b *bench) {
	ctx := b.Context()
	id, _ := b.start("sleep", "1000")
	first, err := b.Containers.Usage(ctx, id)
	if err != nil || first.Pids != 1 || first.Memory == 0 || first.InactiveCache > first.Memory || first.MemoryLimit < first.Memory {
		b.Errorf("running, it uses %+v, %v", first, err)
	}
	b.must(b.Containers.Pause(ctx, id))
	b.reopen()
	second, err := b.Containers.Usage(ctx, id)
	if err != nil || second.Pids != 1 || second.Clock < first.Clock || second.CPU < first.CPU || second.Received < first.Received || second.Sent < first.Sent {
		b.Errorf("paused, it uses %+v after %+v, %v", second, first, err)
	}
	b.must(b.Containers.Kill(ctx, id, unix.SIGKILL))
	_, err = b.Containers.Wait(ctx, id)
	b.must(err)
	_, err = b.Containers.Usage(ctx, id)
	b.is("Usage of what does not run", err, errdefs.ErrConflict)
	_, err = b.Containers.Usage(ctx, nobody)
	b.is("Usage of nobody", err, errdefs.ErrNotFound)
	b.remove(id)
}
