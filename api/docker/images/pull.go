package images

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/moby/moby/api/types/jsonstream"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// create pulls an image or, with fromSrc, makes one of a file system, as clients have called both since there was nothing else to create one of.
func (h *handlers) create(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Has("fromSrc") {
		return h.importFrom(w, r)
	}
	ref, err := named(q.Get("fromImage"), q.Get("tag"))
	if err != nil {
		return err
	}
	parsed, err := reference.Parse(ref)
	if err != nil {
		return fmt.Errorf("invalid reference format: %w", err)
	}
	a, err := credentials(r)
	if err != nil {
		return err
	}
	p, err := v1.ParsePlatform(q.Get("platform"))
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid value for platform: %w", err))
	}
	l := &pulling{out: wire.NewProgress(w), ref: parsed, seen: map[string]image.Phase{}}
	info, changed, err := h.engine.PullImage(r.Context(), ref, *p, a, l.tell)
	if err != nil {
		return l.out.End(pullError(err))
	}
	l.begin()
	l.out.Send(jsonstream.Message{Status: "Digest: " + info.Digest.String()}) //nolint:errcheck // the peer is gone
	said := "Status: Image is up to date for " + parsed.Familiar()
	if changed {
		said = "Status: Downloaded newer image for " + parsed.Familiar()
	}
	return l.out.End(l.out.Send(jsonstream.Message{Status: said}))
}

// pullError gives err docker's status: what does not exist, and what is not shown to this user, cannot be told apart.
func pullError(err error) error {
	if errors.Is(err, image.ErrDenied) {
		return wire.WithStatus(http.StatusNotFound, fmt.Errorf("pull access denied: %w", err))
	}
	return err
}

// pulling tells of a pull in docker's words. Nothing is said before the registry has answered, so that what is wrong until then has a status.
type pulling struct {
	out   *wire.Progress
	ref   reference.Reference
	begun bool
	seen  map[string]image.Phase // by layer
}

func (l *pulling) begin() {
	if l.begun {
		return
	}
	l.begun = true
	id := l.ref.Tag
	if l.ref.HasDigest() {
		id = l.ref.Digest.String()
	}
	l.status(id, "Pulling from "+l.ref.Repo)
}

func (l *pulling) status(id, text string) {
	l.out.Send(jsonstream.Message{ID: id, Status: text}) //nolint:errcheck // the peer is gone: the request's context ends the pull
}

// tell is called by one goroutine at a time.
func (l *pulling) tell(p image.Progress) {
	if p.Note != "" {
		if l.begun {
			l.status("", p.Note)
		}
		return
	}
	if p.Layer == "" {
		return
	}
	l.begin()
	before := l.seen[p.Layer]
	l.seen[p.Layer] = p.Phase
	switch p.Phase {
	case image.Downloading, image.Extracting:
		if before == "" {
			l.status(p.Layer, "Pulling fs layer")
		}
		if p.Phase == image.Extracting && before == image.Downloading {
			l.status(p.Layer, "Download complete")
		}
		l.out.Send(progressLine(p.Layer, string(p.Phase), p.Current, p.Total)) //nolint:errcheck // see status
	case image.Done:
		switch before {
		case image.Done:
		case "":
			l.status(p.Layer, "Already exists")
		default:
			l.status(p.Layer, "Pull complete")
		}
	}
}

// line is a message with docker's bar for those clients that draw none.
type line struct {
	jsonstream.Message
	Bar string `json:"progress,omitempty"`
}

func progressLine(id, text string, current, total int64) line {
	m := line{Message: jsonstream.Message{ID: id, Status: text, Progress: &jsonstream.Progress{Current: current, Total: total}}}
	if total > 0 {
		const width = 50
		done := int(min(current, total) * width / total)
		head := ">"
		if done >= width {
			done, head = width, ""
		}
		m.Bar = fmt.Sprintf("[%s%s%s]  %s/%s", strings.Repeat("=", done), head, strings.Repeat(" ", max(0, width-done-len(head))), amount(current), amount(total))
	} else if current > 0 {
		m.Bar = amount(current)
	}
	return m
}

// amount is a number of bytes in docker's decimal units.
func amount(n int64) string {
	f, unit := float64(n), 0
	for ; f >= 1000 && unit < 4; unit++ {
		f /= 1000
	}
	return fmt.Sprintf("%.4g%s", f, [...]string{"B", "kB", "MB", "GB", "TB"}[unit])
}
