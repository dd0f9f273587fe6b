package container

import (
	"bytes"
	"encoding/json"
	"fmt"
	goruntime "runtime"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/pid1"
)

// Check says why c cannot be a container; nil when it can: ErrInvalidArgument for what makes no sense, ErrNotSupported for what is asked for and not done. The
// errors are worded for who creates it.
func (c *Config) Check() error {
	if err := CheckID(c.ID); err != nil {
		return err
	}
	bad := func(what string) error {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot create container %.12s: %s", c.ID, what))
	}
	switch {
	case c.Spec == nil || c.Spec.Process == nil:
		return bad("its spec has no process")
	case len(c.Spec.Process.Args) == 0:
		return bad("its process has no arguments")
	case len(c.Root) == 0:
		return bad("it has no root")
	case c.Init && pid1.Program() == nil:
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot create container %.12s: there is no init program for %s", c.ID, goruntime.GOARCH))
	}
	if set := unsupported(c.Spec); set != "" {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot create container %.12s: its spec asks for what is not supported: %s", c.ID, set))
	}
	if _, err := ParseSignal(c.StopSignal); err != nil {
		return bad(err.Error())
	}
	return nil
}

// Same says whether want asks for what have does, as the file would hold both. When they were made is no part of that.
func (have *Config) Same(want *Config) bool {
	w := *want
	w.CreatedAt = have.CreatedAt // its own clock's business
	a, errA := json.Marshal(have)
	b, errB := json.Marshal(&w)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Unrevised is c with what may change of a container that is there, its facts and the limits of its resources, as have has it. c stays as it is.
func (c *Config) Unrevised(have *Config) *Config {
	old := *c
	old.Facts = have.Facts
	if c.Spec.Linux != nil && have.Spec.Linux != nil {
		spec, linux := *c.Spec, *c.Spec.Linux
		linux.Resources = have.Spec.Linux.Resources
		spec.Linux, old.Spec = &linux, &spec
	}
	return &old
}
