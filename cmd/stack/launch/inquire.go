package launch

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

// Inquire has the daemon's program answer q, without a daemon. Nothing is written for it: what only looks at a host leaves nothing there, and who is not root may
// write nowhere.
func (l *Launcher) Inquire(ctx context.Context, q inquiry.Question) (inquiry.Answer, error) {
	if l.Linked != nil {
		answer := l.Linked.Answer(ctx, q)
		return answer, answer.Err()
	}
	p, err := l.carried()
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
	l.Listen() // it is waited for, and takes away again what it has tried
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

// Artifact brings Compose files of a registry, see artifact.Fetch.
func (l *Launcher) Artifact(ctx context.Context, cache, ref string) (root string, err error) {
	answer, err := l.Inquire(ctx, inquiry.Question{Artifact: &inquiry.Artifact{Cache: cache, Ref: ref}})
	return answer.Root, err
}
