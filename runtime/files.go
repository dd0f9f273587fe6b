package runtime

import (
	"context"
	"io"

	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/visit"
)

// CompareFiles says of each of all, in their order, whether container id, of any state, has it.
func (d *Driver) CompareFiles(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error) {
	return d.files.Compare(ctx, id, all)
}

// RemoveFiles removes each of all, in their order, from container id, of any state, and says which were there. A directory goes when it is empty. Errors as
// archive.Remove.
func (d *Driver) RemoveFiles(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error) {
	return d.files.Remove(ctx, id, all)
}

// CopyIn writes the tar stream r into container id, whatever state it is in. What runs in it cannot lead what is written out of its root; what is mounted
// read-only there is so here. When ctx ends, or the container, it stops; what is whole stays. Errors: see archive.Unpack; a destination that is
// mounted read-only is ErrConflict and says which.
func (d *Driver) CopyIn(ctx context.Context, id string, o visit.CopyIn, r io.Reader) error {
	return d.files.CopyIn(ctx, id, o, r)
}

// CopyOut writes what o means of container id to w as a tar stream. Errors and ends as CopyIn.
func (d *Driver) CopyOut(ctx context.Context, id string, o visit.CopyOut, w io.Writer) error {
	return d.files.CopyOut(ctx, id, o, w)
}

// Export writes the root file system of container id to w as a tar stream, without what is mounted in it.
func (d *Driver) Export(ctx context.Context, id string, w io.Writer, warn func(string)) error {
	return d.files.Export(ctx, id, w, warn)
}
