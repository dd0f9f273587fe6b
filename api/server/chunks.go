package server

import (
	"io"
	"sync"
)

// maxPending bounds stdin that the process has not read yet, bytes. Beyond it the connection is
// read no further until the process reads: the client's writes wait, as on a pipe.
const maxPending = 4 << 20

// chunks is a bounded queue of stdin between the connection's reader and the process.
type chunks struct {
	mu      sync.Mutex
	changed sync.Cond
	list    [][]byte
	size    int
	end     error // why no more comes
	dead    bool  // the process reads no more
}

func newChunks() *chunks {
	c := &chunks{}
	c.changed.L = &c.mu
	return c
}

func (c *chunks) put(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.size >= maxPending && c.end == nil && !c.dead {
		c.changed.Wait()
	}
	if c.end != nil || c.dead || len(p) == 0 {
		return
	}
	c.list = append(c.list, p)
	c.size += len(p)
	c.changed.Broadcast()
}

// close says that no more comes; the first reason holds.
func (c *chunks) close(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end = why
	}
	c.changed.Broadcast()
}

// pump writes to w until the end, or until w's reader is closed.
func (c *chunks) pump(w *io.PipeWriter) {
	for {
		c.mu.Lock()
		for len(c.list) == 0 && c.end == nil {
			c.changed.Wait()
		}
		list, end := c.list, c.end
		c.list, c.size = nil, 0
		c.changed.Broadcast()
		c.mu.Unlock()
		for _, p := range list {
			if _, err := w.Write(p); err != nil {
				c.mu.Lock()
				c.dead = true
				c.changed.Broadcast()
				c.mu.Unlock()
				return
			}
		}
		if len(list) == 0 {
			w.CloseWithError(end)
			return
		}
	}
}
