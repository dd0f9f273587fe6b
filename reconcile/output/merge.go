package output

import (
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime/logs"
)

// stream is one log that is being merged with others. Its lines come in batches: handing over each by itself would take longer
// than reading it.
type stream struct {
	c     *inventory.Container
	next  *logs.Entry
	rest  []logs.Entry // of batch, after next
	batch *batch

	full  <-chan *batch
	empty chan<- *batch // batches to be filled again
	err   <-chan error
}

const (
	batchLines = 256
	batchText  = 64 << 10
)

// batch is some lines and the memory that they lie in.
type batch struct {
	entries []logs.Entry
	text    []byte
}

// add copies x; false when there is no room.
func (b *batch) add(x logs.Entry) bool {
	if len(b.entries) == batchLines || len(b.entries) > 0 && len(b.text)+len(x.Line) > cap(b.text) {
		return false
	}
	at := len(b.text)
	b.text = append(b.text, x.Line...) // grows only while no entry lies in it
	x.Line = b.text[at:]
	b.entries = append(b.entries, x)
	return true
}

// openStream starts reading one log.
func (f *follower) openStream(ctx context.Context, c *inventory.Container, o logs.Options) *stream {
	// Room for both batches in both directions: only waiting for an empty one can last.
	full, empty, failed := make(chan *batch, 2), make(chan *batch, 2), make(chan error, 1)
	for range cap(empty) {
		empty <- &batch{text: make([]byte, 0, batchText), entries: make([]logs.Entry, 0, batchLines)}
	}
	go func() {
		defer close(full)
		var b *batch
		err := f.lines(ctx, c.Config.Log.Path, o, func(x logs.Entry) error {
			if b != nil && b.add(x) {
				return nil
			}
			if b != nil {
				full <- b
				b = nil
			}
			select {
			case b = <-empty:
			case <-ctx.Done():
				return ctx.Err()
			}
			b.entries, b.text = b.entries[:0], b.text[:0]
			b.add(x)
			return nil
		})
		if b != nil {
			full <- b
		}
		failed <- err
	}()
	return &stream{c: c, full: full, empty: empty, err: failed}
}

// advance goes to the next entry, which is valid until the next call; false at the end.
func (s *stream) advance() (bool, error) {
	if len(s.rest) == 0 {
		if s.batch != nil {
			s.empty <- s.batch
		}
		b, ok := <-s.full
		if !ok {
			return false, <-s.err
		}
		s.batch, s.rest = b, b.entries
	}
	s.next, s.rest = &s.rest[0], s.rest[1:]
	return true, nil
}

// streams is a heap by the time of the next entry.
type streams []*stream

func (h streams) Len() int { return len(h) }
func (h streams) Less(i, j int) bool {
	if d := h[i].next.Time.Compare(h[j].next.Time); d != 0 {
		return d < 0
	}
	return h[i].c.Name < h[j].c.Name
}
func (h streams) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *streams) Push(x any)   { *h = append(*h, x.(*stream)) }
func (h *streams) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
