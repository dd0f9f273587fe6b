package access

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime/archive"
)

// CompareFiles says which of o's files a container of a service has, in their order: what a watch need not copy.
func (a *Access) CompareFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error) {
	return a.files(ctx, project, o, a.drivers.Containers.CompareFiles)
}

// RemoveFiles removes o's files, in their order, from a container of a service, and says which were there.
func (a *Access) RemoveFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error) {
	return a.files(ctx, project, o, a.drivers.Containers.RemoveFiles)
}

func (a *Access) files(ctx context.Context, project string, o ask.FilesOptions, do func(context.Context, string, []archive.Facts) ([]archive.Difference, error)) ([]archive.Difference, error) {
	defer a.turns.Enter()()
	all, err := a.copied(ctx, project, choice{service: o.Service, index: o.Index, container: o.Container})
	if err != nil {
		return nil, err
	}
	found, err := do(ctx, all[0].ID, o.Files)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", all[0].Name, wording.Cause(err, all[0].ID, all[0].Name))
	}
	return found, nil
}
