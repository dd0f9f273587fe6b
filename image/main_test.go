package image

import (
	"os"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(pullChild(dir))
	}
	os.Exit(sandbox.Main(m))
}
