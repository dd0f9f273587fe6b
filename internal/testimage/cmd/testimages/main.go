// Testimages builds the images that tests use into the cache and prints where they are.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"github.com/stackrun/stack/internal/testimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cache, err := testimage.Cache()
	if err == nil {
		var dir string
		dir, err = testimage.Build(ctx, cache, runtime.GOARCH, func(step string) { fmt.Fprintln(os.Stderr, step) })
		if err == nil {
			fmt.Println(dir)
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
