package images

import (
	"net/http"
	"strings"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/ask"
)

func (h *handlers) commit(w http.ResponseWriter, r *http.Request) error {
	// A configuration in the body is refused by what it has: changes say the same, and are served.
	if err := wire.Decode(w, r, &struct{}{}); err != nil {
		return err
	}
	q := r.URL.Query()
	o := ask.CommitOptions{Author: q.Get("author"), Comment: q.Get("comment"), NoPause: !wire.BoolOr(r, "pause", true)}
	if repo := q.Get("repo"); repo != "" {
		ref, err := named(repo, q.Get("tag"))
		if err != nil {
			return err
		}
		o.Ref = ref
	}
	for _, change := range q["changes"] {
		for text := range strings.SplitSeq(change, "\n") { // clients before version 1.19 joined them
			if text != "" {
				o.Changes = append(o.Changes, text)
			}
		}
	}
	info, err := h.engine.CommitContainer(r.Context(), q.Get("container"), o)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, map[string]string{"Id": info.ID.String()})
}
