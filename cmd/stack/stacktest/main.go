package stacktest

import (
	"fmt"
	"os"
	"testing"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/root"
	"github.com/stackrun/stack/internal/sandbox"
)

// Main is for TestMain of packages that type lines: it makes the test binary be the command when one of their tests runs it as that (AsCommand), and else runs the tests.
func Main(m *testing.M) {
	if os.Getenv(AsCommand) != "" {
		run := cli.New(cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: cli.OfProcess(), Version: Version, Linked: inside})
		os.Exit(root.Execute(run, os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "daemon" { // a command within a test that found no daemon: this binary would run the tests again
		fmt.Fprintln(os.Stderr, "this is a test: it has no daemon that a command could start")
		os.Exit(1)
	}
	os.Exit(sandbox.Main(m))
}
