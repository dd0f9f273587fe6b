package visit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/supervision"
)

// CopyIn is a tar stream that is written into a container.
type CopyIn struct {
	// Path is where to, from the container's root. Links mean what they mean inside.
	Path string
	// Copy says that the stream is of one file or directory (package archive's Pack writes such), and goes to Path by the rules of docker cp: it
	// becomes Path, or comes into the directory that is there. Otherwise its entries go into the directory Path, which must exist.
	Copy bool
	// Parents makes the directory Path, and those that it is in, if they are missing. Not with Copy.
	Parents bool
	// Archive keeps the stream's owners, set-id bits and file capabilities. Otherwise all belongs to root and has neither.
	Archive bool
	// Owner is whom all belongs to without Archive; nil = root.
	Owner *Owner
}

// Owner is a user and a group, by their ids in the container.
type Owner struct{ UID, GID int }

// CopyOut is what of a container is read as a tar stream.
type CopyOut struct {
	// Path from the container's root. Below "PATH/." and "/" it is what is in the directory that is meant. See package archive's Source.
	Path string
	// Follow a link that Path ends with.
	Follow bool
	// Rooted: see package archive's Source.
	Rooted bool
	// Warn is told, a sentence each, what is left out or could not be read whole; nil = nobody.
	Warn func(string)
}

// CopyIn writes the tar stream r into container id, whatever state it is in. What runs in it cannot lead what is written out of its root; what is mounted
// read-only there is so here. When ctx ends, or the container, it stops; what is whole stays. Errors: see archive.Unpack; a destination that is
// mounted read-only is ErrConflict and says which.
func (vr *Visitor) CopyIn(ctx context.Context, id string, o CopyIn, r io.Reader) error {
	if o.Copy && o.Parents {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot make the directories on the way to what one file is copied to"))
	}
	asked := ctx
	ctx, v, err := vr.open(ctx, id, false)
	if err != nil {
		return copyError("into", id, err)
	}
	defer v.close()
	// A reader of its own: r may block for as long as whoever sends likes, the container may end meanwhile.
	in, feed := io.Pipe()
	defer in.Close()
	go func() {
		_, err := io.CopyBuffer(v.counted(feed), struct{ io.Reader }{r}, make([]byte, copyBuffer))
		feed.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	defer stop()
	err = archive.Unpack(ctx, v.root, archive.Destination{Path: o.Path, Copy: o.Copy, Parents: o.Parents, Archive: o.Archive, UID: o.owner().UID, GID: o.owner().GID}, bufio.NewReaderSize(in, copyBuffer))
	var ro *archive.ReadOnlyError
	if errors.As(err, &ro) {
		err = vr.readOnly(id, ro)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, in) // what follows the end of the archive is padding
	}
	return copyError("into", id, whyOver(asked, ctx, err))
}

// owner is Owner, or root.
func (o *CopyIn) owner() Owner {
	if o.Owner == nil {
		return Owner{}
	}
	return *o.Owner
}

// readOnly says what is read-only there.
func (vr *Visitor) readOnly(id string, e *archive.ReadOnlyError) error {
	c, err := vr.Records.Config(id)
	switch {
	case err != nil:
		return e
	case e.Root && c.Spec.Root != nil && c.Spec.Root.Readonly:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%w: the root file system of the container is (read_only)", e))
	case e.Root:
		return e
	}
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%w: that is a volume that is read-only, or something that is there only while the container runs", e))
}

// CopyOut writes what o means of container id to w as a tar stream. Errors and ends as CopyIn.
func (vr *Visitor) CopyOut(ctx context.Context, id string, o CopyOut, w io.Writer) error {
	return vr.send(ctx, id, archive.Source{Path: o.Path, Follow: o.Follow, Rooted: o.Rooted}, false, w, o.Warn)
}

// Export writes the root file system of container id to w as a tar stream, without what is mounted in it.
func (vr *Visitor) Export(ctx context.Context, id string, w io.Writer, warn func(string)) error {
	return vr.send(ctx, id, archive.Source{Path: "/", Bare: true}, true, w, warn)
}

func (vr *Visitor) send(ctx context.Context, id string, s archive.Source, bare bool, w io.Writer, warn func(string)) error {
	asked := ctx
	ctx, v, err := vr.open(ctx, id, bare)
	if err != nil {
		return copyError("from", id, err)
	}
	// A writer of its own: w may block for as long as whoever receives likes, the container may end meanwhile.
	out, feed := io.Pipe()
	stop := context.AfterFunc(ctx, func() { feed.CloseWithError(context.Cause(ctx)); out.CloseWithError(context.Cause(ctx)) })
	left := make(chan struct{})
	go func() {
		defer close(left)
		defer v.close()
		buffered := bufio.NewWriterSize(feed, copyBuffer)
		err := archive.Pack(ctx, v.root, s, buffered, warn)
		if err == nil {
			err = buffered.Flush()
		}
		stop() // the end of the visit, which is the end of its context, is none of the stream
		feed.CloseWithError(err)
	}()
	_, err = io.CopyBuffer(v.counted(w), struct{ io.Reader }{out}, make([]byte, copyBuffer))
	out.CloseWithError(err)
	<-left
	return copyError("from", id, whyOver(asked, ctx, err))
}

// copyBuffer is how much goes from hand to hand at once, bytes.
const copyBuffer = 256 << 10

// whyOver is why the visit had to end, if that is why there is err.
func whyOver(asked, visit context.Context, err error) error {
	switch cause := context.Cause(visit); {
	case err == nil:
		return nil
	case asked.Err() != nil:
		return context.Cause(asked)
	case errors.Is(cause, errVisitOver), errors.Is(cause, errVisitWanted), errors.Is(cause, supervision.ErrClosed):
		return cause
	}
	return err
}

func copyError(how, id string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("cannot copy %s container %.12s: %w", how, id, err)
}
