package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/event"
)

func sinkEach(s event.Sink) func(api.Message) error {
	return func(m api.Message) error {
		if m.Event != nil && s != nil {
			s(*m.Event)
		}
		return nil
	}
}

// stream sends a request and calls each with every message of the answer but the last, which it returns. Where what it sends fails, that is the error.
func (c *Client) stream(ctx context.Context, r request, each func(api.Message) error) (api.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if r.stream == nil {
		return c.converse(ctx, r, each)
	}
	// The daemon cannot tell a stream that has failed from one that is late: it is hung up on.
	in := &watchedReader{r: r.stream, failed: cancel}
	r.stream = in
	result, err := c.converse(ctx, r, each)
	if why := in.why(); why != nil {
		return result, why
	}
	return result, err
}

// converse is stream for what does not fail.
func (c *Client) converse(ctx context.Context, r request, each func(api.Message) error) (api.Result, error) {
	a, err := c.ask(ctx, r)
	if err != nil {
		return api.Result{}, err
	}
	defer a.Close()
	dec := json.NewDecoder(a.Body)
	for {
		var m api.Message
		if err := dec.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return api.Result{}, brokeOff(ctx, err)
		}
		switch {
		case m.Error != nil:
			// The daemon's own words for what we asked for ourselves.
			if ctx.Err() != nil {
				return api.Result{}, ctx.Err()
			}
			return api.Result{}, m.Error
		case m.Done != nil:
			return *m.Done, nil
		}
		if err := each(m); err != nil {
			return api.Result{}, err
		}
	}
}

// learnMessages has encoding/json look at the types of a message, which it does once and takes a quarter of a millisecond for, while the daemon works on the answer.
func learnMessages() {
	_ = json.Unmarshal([]byte(`{"event":{},"done":{"exit":{}}}`), new(api.Message))
}
