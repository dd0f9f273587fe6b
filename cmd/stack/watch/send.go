package watch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/cmd/stack/watch/tree"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/archive"
)

// sent is what of a container is different now.
type sent struct {
	paths           []string
	copied, removed int // files
}

// parcel is one thing that goes into a container.
type parcel struct {
	at       string
	file     tree.File
	uid, gid int
}

// send makes container c have todo: what it has not, and only that, is sent.
func (w *worker) send(ctx context.Context, c ask.Container, todo map[string]rule.Copy) (out sent, err error) {
	o := ask.FilesOptions{Service: w.service, Index: c.Replica, Container: c.ID}
	var wanted []parcel
	var gone []archive.Facts
	for _, at := range dirFirst(todo) {
		t := todo[at]
		if t.Gone {
			gone = append(gone, archive.Facts{Path: at, Dir: t.Dir})
			continue
		}
		f, there := w.s.tree.File(t.From)
		if !there {
			continue // it has gone since: that is another change
		}
		wanted = append(wanted, parcel{at: at, file: f})
		facts := archive.Facts{Path: at, Dir: f.Dir, Link: f.Link, Size: f.Size, Time: f.Time}
		if f.Sum != (tree.Sum{}) {
			facts.Sum = f.Sum[:]
		}
		o.Files = append(o.Files, facts)
	}
	var due []parcel
	if len(o.Files) > 0 {
		found, err := w.ask(ctx, o, w.s.daemon.CompareFiles)
		if err != nil {
			return out, err
		}
		for i, d := range found {
			if !d.Differs {
				continue
			}
			if d.InTheWay { // it is of another kind, and one is not written over the other
				gone = append(gone, archive.Facts{Path: wanted[i].at, Dir: !wanted[i].file.Dir})
			}
			wanted[i].uid, wanted[i].gid = d.UID, d.GID
			due = append(due, wanted[i])
		}
	}
	if len(gone) > 0 {
		// What is in a directory goes before it.
		slices.SortFunc(gone, func(a, b archive.Facts) int { return strings.Compare(b.Path, a.Path) })
		o.Files = gone
		found, err := w.ask(ctx, o, w.s.daemon.RemoveFiles)
		if err != nil {
			return out, err
		}
		for i, d := range found {
			if d.Differs && todo[gone[i].Path].Gone {
				out.paths = append(out.paths, gone[i].Path)
				if !gone[i].Dir {
					out.removed++
				}
			}
		}
	}
	if len(due) == 0 {
		return out, nil
	}
	var unread []error
	if err := w.again(ctx, func() error {
		unread = nil
		r, feed := io.Pipe()
		base := common(due)
		done := make(chan struct{})
		go func() {
			defer close(done)
			var err error
			unread, err = pack(feed, base, due)
			feed.CloseWithError(err)
		}()
		into := ask.CopyInOptions{Service: w.service, Index: c.Replica, Container: c.ID, Path: base, Parents: true, Archive: true}
		err := w.s.daemon.CopyIn(ctx, w.s.project.Name, into, r, nil)
		r.CloseWithError(err)
		<-done
		return err
	}); err != nil {
		return out, err
	}
	for _, p := range due {
		out.paths = append(out.paths, p.at)
		if !p.file.Dir {
			out.copied++
		}
	}
	return out, errors.Join(unread...)
}

// atOnce is how many files are asked about in one request.
const atOnce = 10_000

// ask asks about all of o's files, and has as many answers.
func (w *worker) ask(ctx context.Context, o ask.FilesOptions, how func(context.Context, string, ask.FilesOptions) ([]archive.Difference, error)) (all []archive.Difference, err error) {
	for part := range slices.Chunk(o.Files, atOnce) {
		o.Files = part
		var found []archive.Difference
		if err := w.again(ctx, func() (err error) {
			found, err = how(ctx, w.s.project.Name, o)
			return err
		}); err != nil {
			return nil, err
		}
		if len(found) != len(part) {
			return nil, fmt.Errorf("the daemon answered for %d files instead of %d", len(found), len(part))
		}
		all = append(all, found...)
	}
	return all, nil
}

// common is the directory that all of them are in. What is above it may be read-only.
func common(all []parcel) string {
	base := path.Dir(path.Clean(all[0].at))
	for _, p := range all[1:] {
		for in := path.Dir(path.Clean(p.at)); base != "/" && in != base && !strings.HasPrefix(in, base+"/"); {
			base = path.Dir(base)
		}
	}
	return base
}

// pack writes all as a tar stream of what is in base. What is not there any more is left out; unread is what cannot be read.
func pack(w io.Writer, base string, all []parcel) (unread []error, err error) {
	t := tar.NewWriter(w)
	for _, p := range all {
		err := p.write(t, base)
		var path *fs.PathError
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		case errors.As(err, &path):
			unread = append(unread, fmt.Errorf("cannot read it: %w", err))
		default:
			return unread, err
		}
	}
	return unread, t.Close()
}

// write writes p's entry. An *fs.PathError is about the file, before anything of it was written.
func (p *parcel) write(t *tar.Writer, base string) error {
	name := strings.TrimPrefix(strings.TrimPrefix(path.Clean(p.at), base), "/")
	h := &tar.Header{Name: name, Uid: p.uid, Gid: p.gid, ModTime: p.file.Time, Format: tar.FormatPAX}
	switch {
	case p.file.Dir:
		info, err := os.Lstat(p.file.Path)
		if err != nil {
			return err
		}
		h.Typeflag, h.Name, h.Mode, h.ModTime = tar.TypeDir, h.Name+"/", int64(info.Mode().Perm()), info.ModTime()
		return t.WriteHeader(h)
	case p.file.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, p.file.Link, 0o777
		return t.WriteHeader(h)
	}
	f, err := os.OpenFile(p.file.Path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrNotExist // it was one: that is another change
	}
	h.Typeflag, h.Size, h.Mode, h.ModTime = tar.TypeReg, info.Size(), int64(info.Mode().Perm()), info.ModTime()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(t, io.LimitReader(f, h.Size))
	if err != nil {
		return fmt.Errorf("while %s was read: %v", p.file.Path, err) // the stream is broken
	}
	// It has become shorter meanwhile, which is another change; the stream has to have what it said.
	_, err = io.CopyN(t, zeros{}, h.Size-n)
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
