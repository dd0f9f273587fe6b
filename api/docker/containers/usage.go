package containers

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/container"
)

// Usage is every container with how large it is.
func Usage(ctx context.Context, e Engine) ([]container.Summary, error) {
	all, err := e.List(ctx)
	if err != nil {
		return nil, err
	}
	rows := []container.Summary{}
	now := time.Now()
	for i := range all {
		row := summary(&all[i], now)
		if row.SizeRw, row.SizeRootFs, err = e.Sizes(ctx, all[i]); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
