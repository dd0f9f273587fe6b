package forward

import (
	"context"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/runtime/logs"
)

// A batch is no larger than that, but for one line.
const (
	batchLines = 256
	batchText  = 64 << 10
)

// batch is some lines, and the place behind the last.
type batch struct {
	all  []logdriver.Message
	text []byte // of all
	end  logs.Place
}

// reading is a log that is read from a place on, ahead of who sends it by one batch.
type reading struct {
	batches chan *batch // closed at the end
	result  chan error
	stop    context.CancelFunc
}

// read begins to read the log at path behind from, until ended is closed and everything is read. missed is told of lines that rotation has dropped.
func read(ctx context.Context, path string, from logs.Place, ended <-chan struct{}, missed func(string)) *reading {
	ctx, stop := context.WithCancel(ctx)
	r := &reading{batches: make(chan *batch), result: make(chan error, 1), stop: stop}
	go func() {
		defer close(r.batches)
		r.result <- guard(func() error { return r.follow(ctx, path, from, ended, missed) })
	}()
	return r
}

// follow passes on what is read.
func (r *reading) follow(ctx context.Context, path string, from logs.Place, ended <-chan struct{}, missed func(string)) error {
	var b *batch
	pass := func() error {
		if b == nil {
			return nil
		}
		select {
		case r.batches <- b:
			b = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := logs.ReadFrom(ctx, path, from, logs.Options{Follow: true, Done: ended, Caught: pass, Notice: func(text string) error {
		missed(text)
		return nil
	}}, func(e logs.Entry, p logs.Place) error {
		if b != nil && (len(b.all) == batchLines || len(b.text)+len(e.Line) > batchText) {
			if err := pass(); err != nil {
				return err
			}
		}
		if b == nil {
			b = &batch{}
		}
		at := len(b.text)
		// A partial line that is shorter is the end of what was written without a newline.
		b.text = append(b.text, e.Line...) // what it grows out of is kept by the lines in it
		b.all = append(b.all, logdriver.Message{Time: e.Time, Stderr: e.Stream == logs.Stderr, Partial: e.Partial && len(e.Line) == logs.MaxLine, Line: b.text[at:]})
		b.end = p
		return nil
	})
	if err != nil {
		return err
	}
	return pass()
}

// close ends the reading and returns when nobody reads any more.
func (r *reading) close() {
	r.stop()
	for range r.batches {
	}
}
