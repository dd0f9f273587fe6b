package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/ask"
)

// frames asks for path and calls each with the log lines of the answer.
func (c *Client) frames(ctx context.Context, path string, each func(ask.LogEntry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a, err := c.ask(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer a.Close()
	var lines api.LogDecoder
	in := bufio.NewReaderSize(a.Body, 64<<10)
	for {
		kind, payload, err := api.ReadFrame(in)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return brokeOff(ctx, err)
		}
		switch kind {
		case api.FrameLog:
			if err := lines.Each(payload, each); err != nil {
				return err
			}
		case api.FrameMessage:
			var m api.Message
			if err := json.Unmarshal(payload, &m); err != nil {
				return brokeOff(ctx, err)
			}
			switch {
			case m.Error != nil && ctx.Err() != nil:
				return ctx.Err() // the daemon's own words for what we asked for ourselves
			case m.Error != nil:
				return m.Error
			case m.Done != nil:
				return nil
			}
		}
	}
}
