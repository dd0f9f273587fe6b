package containers

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
)

// pathStat is the header that says what there is.
const pathStat = "X-Docker-Container-Path-Stat"

func archivePath(r *http.Request) (string, error) {
	p := r.URL.Query().Get("path")
	if p == "" {
		return "", invalid("missing required parameter: path")
	}
	if strings.ContainsRune(p, 0) {
		return "", invalid("invalid path")
	}
	return fromRoot(p), nil
}

// fromRoot is p from the root, cleaned up to its end: "x/." means what is in x, and "x/" what x leads to.
func fromRoot(p string) string {
	clean := path.Clean("/" + p)
	switch {
	case clean == "/":
	case strings.HasSuffix(p, "/."):
		return clean + "/."
	case strings.HasSuffix(p, "/"):
		return clean + "/"
	}
	return clean
}

// outgoing is a tar stream of what is at a path, whose first entry was looked at.
type outgoing struct {
	stat   container.PathStat
	stream *io.PipeReader
	header []byte // what was read of stream
	cancel context.CancelFunc
	done   chan struct{}
}

func (o *outgoing) close() {
	o.cancel()
	o.stream.Close()
	<-o.done
}

// read begins to read what is at a path of a container.
func (h *handlers) read(r *http.Request) (*outgoing, error) {
	p, err := archivePath(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	in, feed := io.Pipe()
	o := &outgoing{stream: in, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		feed.CloseWithError(h.engine.CopyOut(ctx, r.PathValue("id"), runtime.CopyOut{Path: p, Rooted: true}, feed))
	}()
	kept := &keeping{r: in}
	head, err := tar.NewReader(kept).Next()
	if err != nil {
		o.close()
		if errors.Is(err, io.EOF) {
			err = errdefs.With(errdefs.ErrNotFound, errors.New("Could not find the file "+p+" in container "+r.PathValue("id"))) //nolint:staticcheck // docker's sentence
		}
		return nil, err
	}
	kept.over = true
	o.header = kept.text
	info := head.FileInfo()
	o.stat = container.PathStat{Name: path.Base(p), Size: head.Size, Mode: info.Mode(), Mtime: head.ModTime, LinkTarget: head.Linkname}
	return o, nil
}

// keeping remembers what is read through it, until it is over.
type keeping struct {
	r    io.Reader
	text []byte
	over bool
}

func (k *keeping) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if !k.over {
		k.text = append(k.text, p[:n]...)
	}
	return n, err
}

func (o *outgoing) say(w http.ResponseWriter) error {
	text, err := json.Marshal(o.stat)
	if err != nil {
		return err
	}
	w.Header().Set(pathStat, base64.StdEncoding.EncodeToString(text))
	return nil
}

func (h *handlers) statArchive(w http.ResponseWriter, r *http.Request) error {
	o, err := h.read(r)
	if err != nil {
		return err
	}
	defer o.close()
	if err := o.say(w); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *handlers) getArchive(w http.ResponseWriter, r *http.Request) error {
	o, err := h.read(r)
	if err != nil {
		return err
	}
	defer o.close()
	if err := o.say(w); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-tar")
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(o.header)
	if err == nil {
		_, err = io.Copy(w, o.stream)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // half of an archive does not end as a whole one does
	}
	return nil
}

func (h *handlers) putArchive(w http.ResponseWriter, r *http.Request) error {
	p, err := archivePath(r)
	if err != nil {
		return err
	}
	body, err := content.Decompress(r.Body)
	if err != nil {
		return invalid("cannot read the archive: %v", err)
	}
	defer body.Close()
	// noOverwriteDirNonDir is so in any case: a directory is not replaced by a file, nor a file by a directory.
	in := single.CopyIn{Path: path.Clean(p), AsUser: wire.Bool(r, "copyUIDGID")}
	if err := h.engine.CopyIn(r.Context(), r.PathValue("id"), in, body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *handlers) export(w http.ResponseWriter, r *http.Request) error {
	d, err := h.engine.Inspect(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	begun := &begun{w: w}
	switch err := h.engine.Export(r.Context(), d.ID, begun); {
	case err == nil:
		return nil
	case begun.yes:
		panic(http.ErrAbortHandler) // as above
	default:
		return err
	}
}

// begun says whether anything was written.
type begun struct {
	w   io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}

// changes is docker diff.
func (h *handlers) changes(w http.ResponseWriter, r *http.Request) error {
	all, err := h.engine.Changes(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	kinds := map[image.ChangeKind]container.ChangeType{image.Modified: container.ChangeModify, image.Added: container.ChangeAdd, image.Deleted: container.ChangeDelete}
	out := make([]container.FilesystemChange, 0, len(all))
	for _, c := range all {
		out = append(out, container.FilesystemChange{Kind: kinds[c.Kind], Path: c.Path})
	}
	return wire.JSON(w, http.StatusOK, out)
}
