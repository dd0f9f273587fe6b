// Package launch is how a command comes to the daemon's program, which it carries: it starts it when none answers, becomes it, or asks it without a
// daemon.
package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/cmd/stack/daemonprog"
	"github.com/stackrun/stack/cmd/stack/inquiry"
	"github.com/stackrun/stack/internal/roots"
)

// Linked is the daemon's program in this one: of a binary for tests.
type Linked struct {
	Daemon func(context.Context, options.Options) error
	Answer func(context.Context, inquiry.Question) inquiry.Answer
}

// Launcher runs the daemon's program.
type Launcher struct {
	Roots   roots.Roots
	Version string        // of the command; the program must be of the same
	Config  func() string // the daemon's configuration file
	Listen  func()        // called before something begins that has to be ended in order when a signal comes
	Linked  *Linked       // nil: the daemon is the program that this one carries
}

// Become runs the daemon's program in this process: who has started it, and signals it, has the daemon. warn is told why it is not as it should be.
func (l *Launcher) Become(ctx context.Context, o options.Options, warn func(string)) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot run the stack daemon as uid %d: containers, networks and mounts need root; run it with sudo", os.Geteuid())
	}
	if err := o.Remote.Check(); err != nil {
		return err
	}
	o.Roots, o.Config = l.Roots, l.Config()
	if l.Linked != nil {
		l.Listen()
		return l.Linked.Daemon(ctx, o)
	}
	return l.run(ctx, warn, func(path string) error {
		return syscall.Exec(path, append([]string{"stack"}, o.Line()...), os.Environ())
	})
}

// run has start start the daemon's program at a path that holds for this process and what it forks: put in place below the state root, or where that cannot
// be, or what is there cannot be run, from memory; warn is told of that. Preconditions: the caller is root, and has opened what a child of start begins with, so that
// the program's descriptor is none of those.
func (l *Launcher) run(ctx context.Context, warn func(string), start func(path string) error) error {
	if l.Linked != nil {
		return start("/proc/self/exe")
	}
	p, err := l.carried()
	if err != nil {
		return err
	}
	open := func(f *os.File) error {
		defer f.Close()
		return start(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	}
	f, placed := p.Place(ctx, l.Roots.State)
	if placed == nil {
		if placed = open(f); placed == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f, err = p.InMemory(); err != nil {
		return errors.Join(placed, err)
	}
	warn(fmt.Sprintf("the daemon runs from memory, %d MiB of it: %v", p.Size()>>20, placed))
	return open(f)
}

// carried is the daemon's program, which must be of the version of this one: what travels between them is their own types.
func (l *Launcher) carried() (*daemonprog.Program, error) {
	p, err := daemonprog.Carried()
	if err != nil {
		return nil, err
	}
	if p.Version != l.Version {
		return nil, fmt.Errorf("cannot use the daemon's program in this binary: it is version %s, the command is version %s\nbuild both with `make build`", p.Version, l.Version)
	}
	return p, nil
}
