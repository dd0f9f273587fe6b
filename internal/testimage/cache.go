package testimage

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
)

// CacheEnv names the directory of the cache; without it, stack-test-images in the user's cache directory.
const CacheEnv = "STACK_TEST_CACHE"

// Cache is where layouts are kept.
func Cache() (string, error) {
	if d := os.Getenv(CacheEnv); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	return filepath.Join(d, "stack-test-images"), err
}

func dirIn(cache, goarch string) (string, error) {
	h, err := hash(goarch)
	return filepath.Join(cache, h), err
}

// Require returns the layout of the images for this machine, and skips t when it was not built, or fails it where
// STACK_TEST_MUST names "images". Tests have no network, so they cannot build it themselves.
func Require(t testing.TB) string {
	t.Helper()
	cache, err := Cache()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := dirIn(cache, runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err == nil {
		return dir
	}
	if sandbox.Must("images") {
		t.Fatalf("the test images are not in %s: run `make testimages`", dir)
	}
	t.Skipf("SKIP: the test images are not in %s: run `make testimages`", dir)
	return ""
}
