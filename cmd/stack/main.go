// Command stack turns a Compose file into running containers, networks and volumes.
//
// This package is the only place for the terminal, the environment, signals and os.Exit. One verb is one
// file. Results go to stdout; progress, warnings, errors and hints go to stderr.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/stackrun/stack/cmd/stack/exitcode"
)

func main() {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: environ(), linked: linkedDaemon()}
	os.Exit(a.run(os.Args[1:]))
}

// run is the whole command but os.Exit.
func (a *app) run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.interrupts.handle(func(os.Signal) {
		cancel()
		a.interrupts.handle(func(os.Signal) { os.Exit(exitcode.Cancelled) })
	})
	a.words = args
	root := newRoot(a)
	args, verb := joinValues(root, args)
	a.addVerbs(root, verb)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	a.close()
	return a.report(ctx, err)
}

// report prints err and says which exit code it means.
func (a *app) report(ctx context.Context, err error) int {
	var exit *exitcode.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Err != nil && !errors.Is(exit.Err, context.Canceled) {
			a.printError(exit.Err)
		}
		return exit.Code
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return exitcode.Cancelled
	}
	a.printError(err)
	return exitcode.Failed
}

// interrupts hands SIGINT and SIGTERM to whoever handles them now. At first that is: cancel the command; a second
// one ends it at once, for when the daemon does not answer.
type interrupts struct {
	once sync.Once
	ch   chan os.Signal

	mu      sync.Mutex
	handler func(os.Signal)
}

// listen takes the signals, from the first call on. Until then they end the command as they end any: it has asked for nothing yet and has nothing to
// undo. Whoever begins something that has to be ended in order calls this first. Not at the start of each command: it takes Go two threads, and
// as long as all that a small command does.
func (i *interrupts) listen() {
	i.once.Do(func() {
		i.ch = make(chan os.Signal, 8)
		signal.Notify(i.ch, syscall.SIGINT, syscall.SIGTERM)
		go func() {
			for s := range i.ch {
				i.mu.Lock()
				h := i.handler
				i.mu.Unlock()
				if h != nil { // nil while one is exchanged for another
					h(s)
				}
			}
		}()
	})
}

// handle makes h the handler and returns the one before.
func (i *interrupts) handle(h func(os.Signal)) (before func(os.Signal)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	before, i.handler = i.handler, h
	return before
}

func environ() map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		for i := 1; i < len(kv); i++ {
			if kv[i] == '=' {
				env[kv[:i]] = kv[i+1:]
				break
			}
		}
	}
	return env
}
