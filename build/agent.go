package build

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Agent is an SSH agent that RUN --mount=type=ssh,id=ID lets its command ask.
type Agent struct {
	ID string // default, or another
	// Dial begins a conversation with it.
	Dial func(ctx context.Context) (io.ReadWriteCloser, error)
}

// agentID is what an ssh mount asks for.
func agentID(m *instructions.Mount) string {
	if m.CacheID == "" {
		return "default"
	}
	return m.CacheID
}

// agent finds one; nil = it was not given.
func (r *Request) agent(id string) (*Agent, error) {
	for i := range r.Agents {
		if r.Agents[i].ID == id {
			return &r.Agents[i], nil
		}
	}
	if r.FindAgent == nil {
		return nil, nil
	}
	a, err := r.FindAgent(id)
	if err != nil {
		return nil, fmt.Errorf("cannot find SSH agent %q: %w", id, err)
	}
	return a, nil
}

// agentDir is where BuildKit has the sockets of agents, by the number of the mount.
const agentDir = "/run/buildkit/ssh_agent."

// lendAgent makes a socket of the host at which p's agent is asked, until done.
func (w *worker) lendAgent(ctx context.Context, p mountPlan) (path string, done func(), err error) {
	dir, err := w.b.tempDir()
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	defer d.Close()
	// A socket's path has 107 bytes at most (unix(7)), a state root as many as it likes.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/agent", d.Fd())})
	if err != nil {
		return "", nil, err
	}
	l.SetUnlinkOnClose(false) // that path is another one then
	path = filepath.Join(dir, "agent")
	uid, gid, mode := 0, 0, os.FileMode(0o600)
	if p.UID != nil {
		uid = int(*p.UID)
	}
	if p.GID != nil {
		gid = int(*p.GID)
	}
	if p.Mode != nil {
		mode = os.FileMode(*p.Mode) & os.ModePerm
	}
	if err = os.Lchown(path, uid, gid); err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		l.Close()
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { w.lend(ctx, l, p.agent) })
	return path, func() {
		cancel()
		l.Close()
		work.Wait()
		os.RemoveAll(dir)
	}, nil
}

// maxConversations bounds those that a command has with an agent at a time; others wait.
const maxConversations = 64

// lend answers at l until it is closed, and is over when all conversations are, which ctx ends.
func (w *worker) lend(ctx context.Context, l net.Listener, a *Agent) {
	var talks sync.WaitGroup
	defer talks.Wait()
	slots := make(chan struct{}, maxConversations)
	var told sync.Once
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			c.Close()
			return
		}
		talks.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			agent, err := a.Dial(ctx)
			if err != nil {
				if ctx.Err() == nil {
					told.Do(func() { w.note(fmt.Sprintf("SSH agent %q cannot be asked: %v", a.ID, err)) })
				}
				return
			}
			defer agent.Close()
			defer context.AfterFunc(ctx, func() { agent.Close() })()
			_ = relay(c, agent) // it ends as one of them does
		})
	}
}

// Requests and answers of agents: https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent
const (
	agentFailure           = 5
	agentRequestIdentities = 11
	agentSignRequest       = 13

	maxAgentMessage = 256 << 10 // AGENT_MAX_LEN of OpenSSH
)

// relay carries requests of c to agent, and answers back. A command may have keys used; it may not add, remove or lock any: as with BuildKit, that is refused in the agent's place.
func relay(c io.ReadWriter, agent io.ReadWriter) error {
	for {
		m, err := agentMessage(c)
		if err != nil {
			return err
		}
		if slices.Contains([]byte{agentRequestIdentities, agentSignRequest}, m[4]) {
			if _, err = agent.Write(m); err == nil {
				m, err = agentMessage(agent)
			}
			if err != nil {
				return err
			}
		} else {
			m = []byte{0, 0, 0, 1, agentFailure}
		}
		if _, err := c.Write(m); err != nil {
			return err
		}
	}
}

// agentMessage reads one, with its length before it.
func agentMessage(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxAgentMessage {
		return nil, fmt.Errorf("a message of an SSH agent has %d bytes, expected 1 to %d", n, maxAgentMessage)
	}
	m := append(size[:], make([]byte, n)...)
	_, err := io.ReadFull(r, m[len(size):])
	return m, err
}
