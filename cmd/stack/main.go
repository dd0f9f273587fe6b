// Command stack turns a Compose file into running containers, networks and volumes.
//
// The packages below it, seen from here: root is the command line and the table of verbs; the verbs are packages by noun, one verb one file
// (deploy, lifecycle, session, containers, images, volumes, plans, host, file), and make their commands of cli, one run of the command. internal/deps
// holds their order. They are the only place for the terminal, the environment, signals and os.Exit. Results go to stdout; progress, warnings, errors
// and hints go to stderr.
package main

import (
	"os"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/root"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Client and daemon of one version share
// the types that travel between them.
var version = "0.1.0-dev"

func main() {
	run := cli.New(cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: cli.OfProcess(), Version: version, Linked: linkedDaemon()})
	os.Exit(root.Execute(run, os.Args[1:]))
}
