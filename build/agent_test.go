package build_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/sandbox"
)

func say(w io.Writer, m ...byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...))
	return err
}

func hear(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

// fakeAgent answers each request with the next number, and notes it.
type fakeAgent struct {
	mu    sync.Mutex
	asked []byte
}

func (f *fakeAgent) dial(context.Context) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer ours.Close()
		for {
			m, err := hear(ours)
			if err != nil {
				return
			}
			f.mu.Lock()
			f.asked = append(f.asked, m[0])
			f.mu.Unlock()
			if say(ours, m[0]+1, 0) != nil {
				return
			}
		}
	}()
	return theirs, nil
}

// TestAgent: a command may have the keys of an agent used, and nothing else done with it; nothing of the socket is in the image.
func TestAgent(t *testing.T) {
	h := newHost(t)
	text, err := os.ReadFile(sandbox.Program(t, runtime.GOARCH, "github.com/stackrun/stack/build/testdata/agentprobe"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.context, "probe"), text, 0o755))
	agent := new(fakeAgent)
	given := func(r *build.Request) { r.Agents = []build.Agent{{ID: "default", Dial: agent.dial}} }
	const dockerfile = "FROM busybox AS made\nCOPY probe /probe\n"
	info, p := h.make(dockerfile+"RUN --mount=type=ssh,required /probe\n", given)
	want := "/run/buildkit/ssh_agent.0 Srw------- 0:0\n11: 12\n18: 5\n13: 14\n17: 5\n22: 5\n27: 5\n"
	if got := p.output.String(); got != want {
		t.Errorf("the command has seen\n%s\nexpected\n%s", got, want)
	}
	if !slices.Equal(agent.asked, []byte{11, 13}) {
		t.Errorf("the agent was asked %v", agent.asked)
	}
	h.has(info.ID, "/run")
	if len(p.warnings()) > 0 {
		t.Errorf("warnings: %q", p.warnings())
	}

	_, p = h.make(dockerfile+"USER web\nRUN --mount=type=ssh,target=/tmp/a,uid=1000,gid=1001,mode=0660 /probe\n", given)
	if got := p.output.String(); !strings.HasPrefix(got, "/tmp/a Srw-rw---- 1000:1001\n11: 12\n") {
		t.Errorf("another user's command has seen\n%s", got)
	}
	h.make("FROM busybox\nENV SSH_AUTH_SOCK=/own\nRUN --mount=type=ssh [ $SSH_AUTH_SOCK = /own ] && [ -e /run/buildkit/ssh_agent.0 ]\n", given)

	// One that is not there.
	h.make("FROM busybox\nRUN --mount=type=ssh,id=other [ -z \"$SSH_AUTH_SOCK\" ]\n", given)
	if got := h.refused("FROM busybox\nRUN --mount=type=ssh,id=other,required true\n", given); !strings.Contains(got, "Dockerfile:2") || !strings.Contains(got, `SSH agent "other" is required and was not given`) {
		t.Error(got)
	}
	gone := func(r *build.Request) {
		r.Agents = []build.Agent{{ID: "default", Dial: func(context.Context) (io.ReadWriteCloser, error) { return nil, io.ErrClosedPipe }}}
	}
	_, p, err = h.try(dockerfile+"RUN --mount=type=ssh,target=/run/gone /probe\n", gone)
	if w := p.warnings(); err == nil || len(w) != 1 || !strings.Contains(w[0], `SSH agent "default" cannot be asked`) {
		t.Errorf("of an agent that does not answer: %v, %q", err, w)
	}
}
