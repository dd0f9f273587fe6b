package child

import (
	"fmt"
	"os"
	"sync"

	"github.com/stackrun/stack/internal/thread"
	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/proto"
)

// emptyNamespace is a mount namespace without anything in it, of which those of containers are copies. It is made when the first is started. The zero value is ready.
type emptyNamespace struct {
	mu   sync.Mutex
	file *os.File
}

func (e *emptyNamespace) open() (*os.File, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == nil {
		err := thread.Apart(func() error {
			fd, err := boot.OpenEmpty()
			if err == nil {
				e.file = os.NewFile(uintptr(fd), "an empty mount namespace")
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot make an empty mount namespace: %w", err)
		}
	}
	return e.file, nil
}

func (e *emptyNamespace) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file != nil {
		e.file.Close()
		e.file = nil
	}
}

// HandContainer gives p the container of bootstrap to make. As Hand.
func (s *Pool) HandContainer(p *Child, bootstrap []byte) error {
	empty, err := s.empty.open()
	if err != nil {
		return err
	}
	return p.Hand(proto.Work, bootstrap, empty)
}
