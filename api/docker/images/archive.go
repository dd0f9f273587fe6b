package images

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/moby/moby/api/types/jsonstream"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
)

func (h *handlers) saveOne(w http.ResponseWriter, r *http.Request) error {
	return h.save(w, r, []string{r.PathValue("name")})
}

func (h *handlers) saveSome(w http.ResponseWriter, r *http.Request) error {
	names := r.URL.Query()["names"]
	if len(names) == 0 {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot save images: there is no name among the parameters"))
	}
	return h.save(w, r, names)
}

func (h *handlers) save(w http.ResponseWriter, r *http.Request, names []string) error {
	p, _, err := platform(r, "platform")
	if err != nil {
		return err
	}
	out := &lateStream{w: w}
	err = h.engine.SaveImages(r.Context(), out, p, names...)
	if err != nil && out.begun {
		// No status is left to say it with: an archive that is cut off must not look like a whole one.
		panic(http.ErrAbortHandler)
	}
	return err
}

// lateStream begins the answer with its first byte.
type lateStream struct {
	w     http.ResponseWriter
	begun bool
}

func (s *lateStream) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-tar")
		s.w.WriteHeader(http.StatusOK)
	}
	return s.w.Write(b)
}

func (h *handlers) load(w http.ResponseWriter, r *http.Request) error {
	if _, given, err := platform(r, "platform"); err != nil || given {
		if err == nil {
			err = errdefs.With(errdefs.ErrNotSupported, errors.New("cannot load one platform of an archive by name: of each image that for this host is taken"))
		}
		return err
	}
	quiet := wire.Bool(r, "quiet")
	out := wire.NewProgress(w)
	images, err := h.engine.LoadImages(r.Context(), r.Body, func(p image.Progress) {
		// Before an image has a name the archive is still being read, and an answer that begins meanwhile would end that.
		if !quiet && p.Ref != "" && p.Layer != "" && p.Phase != image.Done {
			out.Send(progressLine(p.Layer, "Loading layer", p.Current, p.Total)) //nolint:errcheck // the peer is gone
		}
	})
	if err != nil {
		drain(r)
		return out.End(err)
	}
	for _, i := range images {
		for _, ref := range i.Refs {
			out.Send(jsonstream.Message{Stream: "Loaded image: " + ref + "\n"}) //nolint:errcheck // see above
		}
		if len(i.Refs) == 0 {
			out.Send(jsonstream.Message{Stream: "Loaded image ID: " + i.ID.String() + "\n"}) //nolint:errcheck // see above
		}
	}
	return out.End(nil)
}

// importFrom makes an image of the body, a tar stream of a root file system.
func (h *handlers) importFrom(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if src := q.Get("fromSrc"); src != "-" {
		drain(r)
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot import from %q: send the file system itself, as docker import does of a file", src))
	}
	p, err := v1.ParsePlatform(q.Get("platform"))
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid value for platform: %w", err))
	}
	ref := ""
	if q.Get("repo") != "" {
		if ref, err = named(q.Get("repo"), q.Get("tag")); err != nil {
			return err
		}
	}
	info, err := h.engine.ImportImage(r.Context(), r.Body, *p, ref, q.Get("message"), q["changes"])
	if err != nil {
		drain(r)
		return err
	}
	out := wire.NewProgress(w)
	return out.End(out.Send(jsonstream.Message{Status: info.ID.String()}))
}

// drain reads what of a request nobody wanted, in bounds: a client that is still sending reads no answer.
func drain(r *http.Request) {
	const most = 1 << 30
	io.CopyN(io.Discard, r.Body, most) //nolint:errcheck // what is wrong with the connection the answer finds out
}
