package visit

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/runtime/archive"
)

// Compare says of each of all, in their order, whether container id, of any state, has it.
func (vr *Visitor) Compare(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error) {
	asked := ctx
	ctx, v, err := vr.open(ctx, id, false)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the files of container %.12s: %w", id, err)
	}
	defer v.close()
	found, err := archive.Compare(ctx, v.root, all)
	if err = whyOver(asked, ctx, err); err != nil {
		return nil, fmt.Errorf("cannot look at the files of container %.12s: %w", id, err)
	}
	return found, nil
}

// Remove removes each of all, in their order, from container id, of any state, and says which were there. A directory goes when it is empty. Errors as
// archive.Remove.
func (vr *Visitor) Remove(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error) {
	asked := ctx
	ctx, v, err := vr.open(ctx, id, false)
	if err != nil {
		return nil, fmt.Errorf("cannot remove files of container %.12s: %w", id, err)
	}
	defer v.close()
	found, err := archive.Remove(ctx, v.root, all)
	var ro *archive.ReadOnlyError
	if errors.As(err, &ro) {
		err = vr.readOnly(id, ro)
	}
	if err = whyOver(asked, ctx, err); err != nil {
		return nil, fmt.Errorf("cannot remove files of container %.12s: %w", id, err)
	}
	return found, nil
}
