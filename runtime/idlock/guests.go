package idlock

import (
	"context"
	"sync"
)

// Guests are who uses what a container has while it runs: whoever starts it anew waits until they have left. The zero value is ready.
type Guests struct {
	mu sync.Mutex
	of map[string]*visitors
}

type visitors struct {
	number int
	none   chan struct{} // closed with the last
}

// Enter is the coming of one who uses what id has; leave is called once.
func (g *Guests) Enter(id string) (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil {
		g.of = map[string]*visitors{}
	}
	in := g.of[id]
	if in == nil {
		in = &visitors{none: make(chan struct{})}
		g.of[id] = in
	}
	in.number++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if in.number--; in.number == 0 {
			close(in.none)
			delete(g.of, id)
		}
	}
}

// Await waits until nobody guests id.
func (g *Guests) Await(ctx context.Context, id string) error {
	for {
		g.mu.Lock()
		in := g.of[id]
		g.mu.Unlock()
		if in == nil {
			return nil
		}
		select {
		case <-in.none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
