package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/jsonstream"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

func (h *handlers) push(w http.ResponseWriter, r *http.Request) error {
	a, err := credentials(r)
	if err != nil {
		return err
	}
	p, _, err := platform(r, "platform")
	if err != nil {
		return err
	}
	name, tag := r.PathValue("name"), r.URL.Query().Get("tag")
	if strings.Contains(name, "@") {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot push a digest reference"))
	}
	refs, err := h.toPush(r, name, tag)
	if err != nil {
		return err
	}
	first, err := reference.Parse(refs[0])
	if err != nil {
		return fmt.Errorf("invalid reference format: %w", err)
	}
	out := wire.NewProgress(w)
	out.Send(jsonstream.Message{Status: "The push refers to repository [" + first.Name() + "]"}) //nolint:errcheck // the peer is gone: the request's context ends the push
	for _, ref := range refs {
		l := &pushing{out: out, seen: map[string]image.Phase{}}
		done, err := h.engine.PushImage(r.Context(), ref, image.PushOptions{Platform: p, Auth: a}, l.tell)
		if err != nil {
			return out.End(err)
		}
		parsed, err := reference.Parse(ref)
		if err != nil {
			return out.End(err)
		}
		out.Send(jsonstream.Message{Status: fmt.Sprintf("%s: digest: %s size: %d", parsed.Tag, done.Digest, done.Size)}) //nolint:errcheck // see above
		text, err := json.Marshal(map[string]any{"Tag": parsed.Tag, "Digest": done.Digest, "Size": done.Size})
		if err != nil {
			return out.End(err)
		}
		aux := json.RawMessage(text)
		out.Send(jsonstream.Message{Progress: &jsonstream.Progress{}, Aux: &aux}) //nolint:errcheck // see above
	}
	return out.End(nil)
}

// toPush are the references that a push means: without a tag all that the repository has here. A tag that is not here is an answer with a status.
func (h *handlers) toPush(r *http.Request, name, tag string) ([]string, error) {
	if tag != "" {
		ref, err := named(name, tag)
		if err != nil {
			return nil, err
		}
		return []string{ref}, nil
	}
	base, err := reference.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("invalid reference format: %w", err)
	}
	all, err := h.engine.ListImages(r.Context())
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, i := range all {
		for _, ref := range i.Refs {
			if p, err := reference.Parse(ref); err == nil && p.Name() == base.Name() {
				refs = append(refs, ref)
			}
		}
	}
	if len(refs) == 0 {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("An image does not exist locally with the tag: %s", name))
	}
	slices.Sort(refs)
	return refs, nil
}

// pushing tells of a push in docker's words.
type pushing struct {
	out  *wire.Progress
	seen map[string]image.Phase // by layer
}

func (l *pushing) tell(p image.Progress) {
	if p.Note != "" {
		l.out.Send(jsonstream.Message{Status: p.Note}) //nolint:errcheck // the peer is gone
		return
	}
	if p.Layer == "" {
		return
	}
	before := l.seen[p.Layer]
	l.seen[p.Layer] = p.Phase
	switch p.Phase {
	case image.Sending:
		l.out.Send(progressLine(p.Layer, "Pushing", p.Current, p.Total)) //nolint:errcheck // see above
	case before:
	case image.Mounted:
		l.out.Send(jsonstream.Message{ID: p.Layer, Status: "Mounted from " + p.From}) //nolint:errcheck // see above
	default:
		l.out.Send(jsonstream.Message{ID: p.Layer, Status: string(p.Phase)}) //nolint:errcheck // see above
	}
}

func (h *handlers) tag(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	name, err := named(q.Get("repo"), q.Get("tag"))
	if err != nil {
		return err
	}
	if err := h.engine.TagImage(r.Context(), r.PathValue("name"), name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}
