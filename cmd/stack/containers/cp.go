package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/archive"
)

// copyOptions are cp's flags.
type copyOptions struct {
	index                    int
	oneOffs, archive, follow bool
}

// NewCpCommand makes the command cp.
func NewCpCommand(run *cli.Run) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n  stack cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
		Short: "Copy files between containers of a service and here",
		Long: `Copies a file or a directory into the containers of a service, all of them unless --index names one, or out of the first, whether they
run or not. Paths in containers begin at their root.

What SRC_PATH names becomes DEST_PATH, or comes into it if that is a directory. Of a directory SRC_PATH/. means what is in it. The directory
that DEST_PATH is in must exist, and DEST_PATH too if it ends with a slash and a file is copied. A file replaces a file; directories are merged.

- as SRC_PATH reads a tar archive, which may be compressed with gzip or zstd, and puts what it has into the directory DEST_PATH. - as DEST_PATH
writes one.

Copies belong to root in containers and to you here. With --archive they keep their owners, and set-id bits and file capabilities, which are left out
otherwise. What is on /proc, /sys and the like is left out, and so are devices of what is copied out; into a container none is copied.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("cp needs what is copied and where to: stack cp SERVICE:SRC_PATH DEST_PATH, or SRC_PATH SERVICE:DEST_PATH")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return copyFiles(cmd.Context(), run, args[0], args[1], o)
		},
		ValidArgsFunction: func(cmd *cobra.Command, before []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(before) > 1 || strings.ContainsAny(typed, ":/") {
				return nil, cobra.ShellCompDirectiveDefault
			}
			services := run.Services(cmd, nil)
			for i := range services {
				services[i] += ":"
			}
			return services, cobra.ShellCompDirectiveNoSpace
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.oneOffs, "all", false, "The containers of run too")
	f.BoolVarP(&o.archive, "archive", "a", false, "Keep owners, and what depends on them")
	f.BoolVarP(&o.follow, "follow-link", "L", false, "Copy what a link at SRC_PATH leads to, and not the link")
	f.IntVar(&o.index, "index", 0, "Which replica of the service (default: all to copy to, the first to copy from)")
	return cmd
}

// splitCopyPath takes SERVICE:PATH apart. A path with a colon of its own begins with a slash or a dot. service is "" for paths here.
func splitCopyPath(arg string) (service, path string) {
	service, path, ok := strings.Cut(arg, ":")
	if !ok || filepath.IsAbs(arg) || strings.HasPrefix(service, ".") {
		return "", arg
	}
	return service, path
}

func copyFiles(ctx context.Context, run *cli.Run, from, to string, o copyOptions) error {
	switch {
	case from == "":
		return fmt.Errorf("source can not be empty")
	case to == "":
		return fmt.Errorf("destination can not be empty")
	case o.index < 0:
		return fmt.Errorf("--index %d: expected a positive number", o.index)
	}
	source, fromPath := splitCopyPath(from)
	destination, toPath := splitCopyPath(to)
	switch {
	case source != "" && destination != "":
		return fmt.Errorf("copying between services is not supported (copy to a file here, and from there)")
	case source == "" && destination == "":
		return fmt.Errorf("unknown copy direction: one of SRC_PATH and DEST_PATH must be SERVICE:PATH")
	case source != "":
		return copyOut(ctx, run, source, fromPath, toPath, o)
	}
	return copyIn(ctx, run, destination, fromPath, toPath, o)
}

// copyIn copies from here.
func copyIn(ctx context.Context, run *cli.Run, service, from, to string, o copyOptions) error {
	in := ask.CopyInOptions{Service: service, Index: o.index, OneOffs: o.oneOffs, Path: to, Archive: o.archive, Copy: from != "-", Compressed: from == "-"}
	var stream io.Reader
	if from == "-" {
		if terminal.Of(run.In) != nil {
			return fmt.Errorf("cannot read a tar archive from a terminal (redirect stdin)")
		}
		stream = run.In
	} else {
		name, err := local(from)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(name); err != nil { // before a daemon is asked
			return fmt.Errorf("cannot copy %s: %w", from, err)
		}
		root, err := archive.Root("/")
		if err != nil {
			return err
		}
		defer root.Close()
		r, w := io.Pipe()
		packed := make(chan struct{})
		defer func() {
			r.Close()
			<-packed
		}()
		warn := warner(run)
		go func() {
			defer close(packed)
			err := archive.Pack(ctx, root, archive.Source{Path: name, Follow: o.follow}, w, warn)
			if err != nil {
				err = fmt.Errorf("cannot copy %s: %w", from, err)
			}
			w.CloseWithError(err)
		}()
		stream = r
	}
	name, daemon, err := run.Reach(ctx, []string{service})
	if err != nil {
		return err
	}
	return daemon.CopyIn(ctx, name, in, stream, told(run, from+" to "+service+":"+to))
}

// copyOut copies to here.
func copyOut(ctx context.Context, run *cli.Run, service, from, to string, o copyOptions) error {
	out := ask.CopyOutOptions{Service: service, Index: o.index, OneOffs: o.oneOffs, Path: from, Follow: o.follow}
	if to == "-" && terminal.Of(run.Out) != nil {
		return fmt.Errorf("cannot write a tar archive to a terminal (redirect stdout)")
	}
	project, daemon, err := run.Reach(ctx, []string{service})
	if err != nil {
		return err
	}
	sink := told(run, service+":"+from+" to "+to)
	if to == "-" {
		return daemon.CopyOut(ctx, project, out, run.Out, sink)
	}
	name, err := local(to)
	if err != nil {
		return err
	}
	root, err := archive.Root("/")
	if err != nil {
		return err
	}
	defer root.Close()
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	warn := warner(run)
	go func() {
		// Whatever is in the container, and whatever an earlier copy has left here, nothing but this destination is written to.
		d := archive.Destination{Path: name, Copy: true, Closed: true, Archive: o.archive, UID: -1, GID: -1, LeftOut: warn}
		err := archive.Unpack(ctx, root, d, r)
		if err == nil {
			_, err = io.Copy(io.Discard, r) // the padding at the end
		}
		r.CloseWithError(errStopped)
		unpacked <- err
	}()
	err = daemon.CopyOut(ctx, project, out, w, sink)
	w.CloseWithError(err)
	if uerr := <-unpacked; err == nil || errors.Is(err, errStopped) {
		err = nil
		if uerr != nil {
			err = fmt.Errorf("cannot copy to %s: %w", to, uerr)
		}
	}
	return err
}

// errStopped ends a stream that is wanted no more.
var errStopped = errors.New("nobody reads it")

// local is a path here as archive takes it: absolute, with what its end says of a directory.
func local(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	switch base := path[strings.LastIndexByte(path, '/')+1:]; {
	case base == ".":
		return strings.TrimSuffix(abs, "/") + "/.", nil
	case base == "" || base == "..":
		return strings.TrimSuffix(abs, "/") + "/", nil
	}
	return abs, nil
}

// told shows the events of a copy; what says what is copied where.
func told(run *cli.Run, what string) event.Sink {
	show, warn := run.Progress(), warner(run)
	return func(e event.Event) {
		if e.Phase == event.Warning { // there may be many of one container, and each is to stay
			warn(e.Name + ": " + e.Detail)
			return
		}
		if e.Detail == "" {
			e.Detail = what
		}
		show.Event(e)
	}
}

// warner prints warnings above the progress, from any goroutine.
func warner(run *cli.Run) func(text string) {
	show := run.Progress()
	return func(text string) {
		defer show.Suspend()()
		run.Warn("%s", text)
	}
}
