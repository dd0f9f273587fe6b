package client

import (
	"context"
	"io"
	"net/http"
	"sync"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
)

// CopyIn writes the tar stream r, to its end, into the containers of a service that o means; s is told of each. With o.Copy the stream is what
// archive.Pack (runtime/archive) writes of one file or directory, and goes to o.Path as docker cp has it. Without, its entries, named relative to o.Path, go into that
// directory, which o.Parents makes. An error of r is the error of the copy: what the daemon has got until then is written, but for the file that was cut off.
func (c *Client) CopyIn(ctx context.Context, project string, o ask.CopyInOptions, r io.Reader, s event.Sink) error {
	query, err := options(o)
	if err != nil {
		return err
	}
	_, err = c.stream(ctx, request{method: http.MethodPost, path: path(project, "copy-in") + query, stream: r}, sinkEach(s))
	return err
}

// copyAgain is what to do when a copy was cut off.
const copyAgain = "run the command again for the whole of it"

// CopyOut writes what is at o.Path of a container to w, as a tar stream. s is told what is left out.
func (c *Client) CopyOut(ctx context.Context, project string, o ask.CopyOutOptions, w io.Writer, s event.Sink) error {
	_, err := c.upgraded(ctx, path(project, "copy-out"), o, process.IO{Stdout: w}, s, copyAgain)
	return err
}

// Export writes the root file system of a container to w, as a tar stream, without what is mounted in it.
func (c *Client) Export(ctx context.Context, project string, o ask.ExportOptions, w io.Writer, s event.Sink) error {
	_, err := c.upgraded(ctx, path(project, "export"), o, process.IO{Stdout: w}, s, copyAgain)
	return err
}

// CompareFiles says which of o's files a container of a service has, in their order.
func (c *Client) CompareFiles(ctx context.Context, project string, o ask.FilesOptions) (found []archive.Difference, err error) {
	err = c.post(ctx, path(project, "compare-files"), o, &found)
	return found, err
}

// RemoveFiles removes o's files, in their order, from a container of a service, and says which were there.
func (c *Client) RemoveFiles(ctx context.Context, project string, o ask.FilesOptions) (found []archive.Difference, err error) {
	err = c.post(ctx, path(project, "remove-files"), o, &found)
	return found, err
}

// watchedReader tells when reading fails, and why.
type watchedReader struct {
	r      io.Reader
	failed func()

	mu  sync.Mutex
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		w.failed()
	}
	return n, err
}

func (w *watchedReader) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
