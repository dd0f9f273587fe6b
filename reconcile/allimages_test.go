package reconcile_test

import (
	"context"
	"errors"
	goruntime "runtime"
	"testing"
	"testing/synctest"

	"github.com/stackrun/stack/reconcile"
)

// TestSlowSourcesTakeNoPlace: clients that do not come to the end of their sources, however many, keep nobody from building.
func TestSlowSourcesTakeNoPlace(t *testing.T) {
	run(t, func(b *bench) {
		ctx, stop := context.WithCancel(b.Context())
		slow := func(ctx context.Context, _ string) (reconcile.BuildSources, error) {
			<-ctx.Done()
			return reconcile.BuildSources{}, context.Cause(ctx)
		}
		ended := make(chan error)
		for range goruntime.NumCPU() {
			go func() {
				_, err := b.engine.AllImages().BuildImage(ctx, reconcile.ImageBuild{Fetch: slow}, nil)
				ended <- err
			}()
		}
		synctest.Wait()
		came := make(chan struct{}, 1)
		go func() {
			_, err := b.engine.AllImages().BuildImage(ctx, reconcile.ImageBuild{Tags: []string{"app"}, Fetch: func(_ context.Context, dir string) (reconcile.BuildSources, error) {
				came <- struct{}{}
				return reconcile.BuildSources{Context: dir, Dockerfile: dir + "/Dockerfile"}, nil
			}}, nil)
			ended <- err
		}()
		synctest.Wait()
		if len(came) == 0 {
			b.Error("its sources are not asked for")
		} else if err := <-ended; err != nil {
			b.Error(err)
		}
		stop()
		for range goruntime.NumCPU() + 1 - len(came) {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				b.Errorf("who was given up has ended with %v", err)
			}
		}
	})
}
