package session

import (
	"sync"

	"github.com/stackrun/stack/api/docker/buildkit/message"
)

// queue holds what is to be sent, in any number: who puts never waits.
type queue struct {
	mu    sync.Mutex
	some  sync.Cond // of mu: there is something, or the end
	list  []message.Packet
	ended bool
}

func newQueue() *queue {
	q := &queue{}
	q.some.L = &q.mu
	return q
}

func (q *queue) put(p message.Packet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, p)
	q.some.Signal()
}

// end says that nothing more will be put.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.some.Signal()
}

// all yields what is put, until the end.
func (q *queue) all(yield func(message.Packet) bool) {
	for {
		q.mu.Lock()
		for len(q.list) == 0 && !q.ended {
			q.some.Wait()
		}
		list := q.list
		q.list = nil
		q.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			if !yield(p) {
				return
			}
		}
	}
}
