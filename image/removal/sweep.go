package removal

import (
	"context"
	"slices"
	"strings"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
)

// Sweep names what is left of work that was cut off, and what neither a name nor a container leads to: attempts, images that have lost
// their names, layers, patches and blobs. With remove it removes them. An image that has a name stays. errdefs.ErrConflict while a pull or
// a load is under way.
func (s *Remover) Sweep(ctx context.Context, remove bool) ([]string, error) {
	if err := s.snapshots.Settle(ctx); err != nil { // what is being removed is nobody's garbage
		return nil, err
	}
	found, err := s.dir.Leftovers(remove)
	if err != nil {
		return found, err
	}
	unled, err := s.unled(ctx)
	if found = append(found, unled...); err != nil || len(unled) == 0 || !remove {
		return found, err
	}
	_, err = s.Prune(ctx)
	return found, err
}

// unled is what Prune would remove.
func (s *Remover) unled(ctx context.Context) ([]string, error) {
	quiet, err := s.dir.TakeLayers()
	if err != nil {
		return nil, err
	}
	defer quiet.Close()
	lock, err := s.dir.Lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	x, err := s.catalog.Index()
	if err != nil {
		return nil, err
	}
	used, err := s.usedBy(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	x = &catalog.Index{Version: x.Version, Images: slices.Clone(x.Images)} // the index is shared
	for _, rec := range x.TakeUnnamed(used) {
		names = append(names, "image "+content.Short(rec.ID)+", which has no name")
	}
	dead, err := s.dead(ctx, x)
	for _, path := range dead {
		names = append(names, strings.TrimPrefix(path, s.dir.Path()+"/"))
	}
	return names, err
}
