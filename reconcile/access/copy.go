package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// CopyIn writes the tar stream r into the containers that o means, of every state, all at the same time; s is told of each. One that cannot take it does not
// keep it from the others. It returns when all are done, with the errors of those that failed.
func (a *Access) CopyIn(ctx context.Context, project string, o ask.CopyInOptions, r io.Reader, s event.Sink) error {
	defer a.turns.Enter()()
	all, err := a.copied(ctx, project, choice{service: o.Service, index: o.Index, container: o.Container, oneOffs: o.OneOffs})
	if err != nil {
		return err
	}
	if o.Compressed {
		plain, err := content.Decompress(r)
		if err != nil {
			return fmt.Errorf("cannot read the archive: %w", err)
		}
		defer plain.Close()
		r = plain
	}
	in := runtime.CopyIn{Path: o.Path, Copy: o.Copy, Parents: o.Parents, Archive: o.Archive}
	readers, feed := []io.Reader{r}, func() {}
	if len(all) > 1 {
		readers, feed = fanOut(r, len(all))
	}
	errs := make([]error, len(all))
	var work sync.WaitGroup
	for i, c := range all {
		work.Go(func() {
			a.sayCopy(s, c, event.Working, "Copying", "")
			err := a.drivers.Containers.CopyIn(ctx, c.ID, in, readers[i])
			if p, ok := readers[i].(*io.PipeReader); ok {
				p.Close() // the others go on
			}
			if err != nil {
				errs[i] = fmt.Errorf("cannot copy into container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
				a.sayCopy(s, c, event.Failed, "Not copied", "") // why is told at the end
				return
			}
			a.sayCopy(s, c, event.Done, "Copied", "")
		})
	}
	feed()
	work.Wait()
	return errors.Join(errs...)
}

// fanOut gives what r gives to n readers, at the pace of the slowest. One that is closed misses the rest; feed returns at the end, or when all are closed.
func fanOut(r io.Reader, n int) (readers []io.Reader, feed func()) {
	writers := make([]*io.PipeWriter, n)
	for i := range n {
		var p *io.PipeReader
		p, writers[i] = io.Pipe()
		readers = append(readers, p)
	}
	return readers, func() {
		buf := make([]byte, 256<<10)
		open := n
		for open > 0 {
			k, err := r.Read(buf)
			for i, w := range writers {
				if w == nil {
					continue
				}
				if _, werr := w.Write(buf[:k]); werr != nil {
					writers[i] = nil
					open--
				}
			}
			if err != nil {
				for _, w := range writers {
					if w != nil {
						w.CloseWithError(err) // io.EOF is its end
					}
				}
				return
			}
		}
	}
}

// CopyOut writes what is at a path of a container to w as a tar stream: of the replica that o names, or the first.
func (a *Access) CopyOut(ctx context.Context, project string, o ask.CopyOutOptions, w io.Writer, s event.Sink) error {
	defer a.turns.Enter()()
	all, err := a.copied(ctx, project, choice{service: o.Service, index: o.Index, oneOffs: o.OneOffs})
	if err != nil {
		return err
	}
	c := all[0]
	a.sayCopy(s, c, event.Working, "Copying", "")
	err = a.drivers.Containers.CopyOut(ctx, c.ID, runtime.CopyOut{Path: o.Path, Follow: o.Follow, Warn: a.warnCopy(s, c)}, w)
	if err != nil {
		a.sayCopy(s, c, event.Failed, "Not copied", "") // why is told at the end
		return fmt.Errorf("cannot copy from container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	a.sayCopy(s, c, event.Done, "Copied", "")
	return nil
}

// Export writes the root file system of a container to w as a tar stream, without its volumes: of the replica that o names, or the first.
func (a *Access) Export(ctx context.Context, project string, o ask.ExportOptions, w io.Writer, s event.Sink) error {
	defer a.turns.Enter()()
	all, err := a.copied(ctx, project, choice{service: o.Service, index: o.Index, oneOffs: true})
	if err != nil {
		return err
	}
	c := all[0]
	a.sayCopy(s, c, event.Working, "Exporting", "")
	if err := a.drivers.Containers.Export(ctx, c.ID, w, a.warnCopy(s, c)); err != nil {
		a.sayCopy(s, c, event.Failed, "Not exported", "")
		return fmt.Errorf("cannot export container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	a.sayCopy(s, c, event.Done, "Exported", "")
	return nil
}

// copied are the containers of a service that a copy means, in the order of their numbers, those of run last.
func (a *Access) copied(ctx context.Context, project string, which choice) ([]*inventory.Container, error) {
	list, err := inventory.ListService(ctx, a.drivers, project, which.service)
	if err != nil {
		return nil, err
	}
	var all, runs []*inventory.Container
	for _, c := range list {
		switch {
		case c.Service != which.service || c.Step != nil || !which.has(c):
		case c.OneOff:
			if which.oneOffs && which.index == 0 {
				runs = append(runs, c)
			}
		default:
			all = append(all, c)
		}
	}
	if all = append(all, runs...); len(all) > 0 {
		return all, nil
	}
	return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("no container found for %s of project %s; make one with `stack create` or `stack up`", which, project))
}

func (a *Access) sayCopy(s event.Sink, c *inventory.Container, p event.Phase, text, detail string) {
	if s != nil { // nothing has become of the container that others should know
		s(event.Event{Project: c.Project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: p, Text: text, Detail: detail})
	}
}

// maxCopyWarnings bounds what is told of one copy.
const maxCopyWarnings = 100

func (a *Access) warnCopy(s event.Sink, c *inventory.Container) func(string) {
	told := 0
	return func(text string) {
		switch told++; {
		case told <= maxCopyWarnings:
			a.sayCopy(s, c, event.Warning, "Not whole", text)
		case told == maxCopyWarnings+1:
			a.sayCopy(s, c, event.Warning, "Not whole", "there is more of this kind, which is not told")
		}
	}
}

// Commit makes an image of what a container of a service has written on its own, and names it if o says so. The container is paused meanwhile, unless o says
// otherwise or it is already.
func (a *Access) Commit(ctx context.Context, project string, o ask.CommitOptions, s event.Sink) (image.Info, error) {
	defer a.turns.Enter()()
	all, err := a.copied(ctx, project, choice{service: o.Service, index: o.Index, oneOffs: true})
	if err != nil {
		return image.Info{}, err
	}
	return a.keep.CommitOne(ctx, all[0], o, s)
}
