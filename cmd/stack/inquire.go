package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/stackrun/stack/cmd/stack/inquiry"
)

// inquire has the daemon's program answer q, without a daemon. Nothing is written for it: what only looks at a host leaves nothing there, and who is not root may
// write nowhere.
func (a *app) inquire(ctx context.Context, q inquiry.Question) (inquiry.Answer, error) {
	if a.linked != nil {
		answer := a.linked.answer(ctx, q)
		return answer, answer.Err()
	}
	p, err := a.carried()
	if err != nil {
		return inquiry.Answer{}, err
	}
	f, err := p.InMemory()
	if err != nil {
		return inquiry.Answer{}, err
	}
	defer f.Close()
	in, err := json.Marshal(q)
	if err != nil {
		return inquiry.Answer{}, err
	}
	a.interrupts.listen() // it is waited for, and takes away again what it has tried
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), inquiry.Verb)
	cmd.Args[0] = "stack"
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		return inquiry.Answer{}, context.Cause(ctx)
	}
	if err != nil {
		return inquiry.Answer{}, fmt.Errorf("cannot run the daemon's program: %w\n%s", err, strings.TrimSpace(errs.String()))
	}
	var answer inquiry.Answer
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return inquiry.Answer{}, fmt.Errorf("cannot understand the daemon's program: %w", err)
	}
	return answer, answer.Err()
}

// artifact brings Compose files of a registry, see artifact.Fetch.
func (a *app) artifact(ctx context.Context, cache, ref string) (root string, err error) {
	answer, err := a.inquire(ctx, inquiry.Question{Artifact: &inquiry.Artifact{Cache: cache, Ref: ref}})
	return answer.Root, err
}
