package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/archive"
)

// A stream of any size arrives as it was sent, in both directions, with what is told of it.
func TestCopyCarriesStreams(t *testing.T) {
	sent := strings.Repeat("a tar stream is bytes to the API\n", 200_000)
	var got bytes.Buffer
	var in ask.CopyInOptions
	out := func(_ context.Context, _ string, w io.Writer, s event.Sink) error {
		s(event.Event{Phase: event.Warning, Detail: "a socket is left out"})
		_, err := io.WriteString(w, sent)
		return err
	}
	c, _, _ := serve(t, &apitest.Engine{
		OnCopyIn: func(_ context.Context, project string, o ask.CopyInOptions, r io.Reader, s event.Sink) error {
			in = o
			s(event.Event{Text: "Copying"})
			_, err := io.Copy(&got, r)
			return err
		},
		OnCopyOut: func(ctx context.Context, project string, o ask.CopyOutOptions, w io.Writer, s event.Sink) error {
			return out(ctx, project, w, s)
		},
		OnExport: func(ctx context.Context, project string, o ask.ExportOptions, w io.Writer, s event.Sink) error {
			return out(ctx, project, w, s)
		},
	})
	told := 0
	sink := func(event.Event) { told++ }
	o := ask.CopyInOptions{Service: "web", Path: "/a b&c\n", Copy: true, Archive: true, Index: 2}
	if err := c.CopyIn(t.Context(), "shop", o, strings.NewReader(sent), sink); err != nil {
		t.Fatal(err)
	}
	if got.String() != sent || in != o {
		t.Errorf("%d of %d bytes, options %+v", got.Len(), len(sent), in)
	}
	for what, ask := range map[string]func(w io.Writer) error{
		"copy-out": func(w io.Writer) error { return c.CopyOut(t.Context(), "shop", ask.CopyOutOptions{}, w, sink) },
		"export":   func(w io.Writer) error { return c.Export(t.Context(), "shop", ask.ExportOptions{}, w, sink) },
	} {
		got.Reset()
		if err := ask(&got); err != nil || got.String() != sent {
			t.Errorf("%s: %d of %d bytes, %v", what, got.Len(), len(sent), err)
		}
	}
	if told != 3 {
		t.Errorf("%d events came, expected 3", told)
	}
}

// A copy that fails says why, at either end, and the other end has ended by then.
func TestCopyFails(t *testing.T) {
	ended := make(chan error, 1)
	refuse := errdefs.With(errdefs.ErrConflict, errors.New("it is read-only"))
	c, _, _ := serve(t, &apitest.Engine{
		OnCopyIn: func(_ context.Context, project string, _ ask.CopyInOptions, r io.Reader, _ event.Sink) error {
			if project == "early" {
				return refuse // with the stream unread
			}
			_, err := io.Copy(io.Discard, r)
			ended <- err
			return err
		},
		OnCopyOut: func(ctx context.Context, _ string, _ ask.CopyOutOptions, w io.Writer, _ event.Sink) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					return err
				}
			}
		},
	})
	if err := c.CopyIn(t.Context(), "early", ask.CopyInOptions{}, strings.NewReader(strings.Repeat("x", 1<<20)), nil); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("refused early: %v", err)
	}
	unreadable := errors.New("permission denied")
	err := c.CopyIn(t.Context(), "shop", ask.CopyInOptions{}, io.MultiReader(strings.NewReader("the beginning"), failing{unreadable}), nil)
	if !errors.Is(err, unreadable) {
		t.Errorf("the source fails: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the daemon takes a stream that broke off for a whole one")
	}
	full := errors.New("no space left")
	if err := c.CopyOut(t.Context(), "shop", ask.CopyOutOptions{}, failing{full}, nil); !errors.Is(err, full) {
		t.Errorf("the destination fails: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the daemon writes on to nobody")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What is asked of files comes whole and is answered in its order, in both verbs.
func TestFilesOverTheWire(t *testing.T) {
	o := ask.FilesOptions{Service: "web", Index: 2, Files: []archive.Facts{
		{Path: "/a b", Size: 1 << 40, Sum: []byte{0, 1, 255}, Time: time.Unix(12, 34).UTC()}, {Path: "/d", Dir: true}, {Path: "/l", Link: "a"}, {},
	}}
	want := []archive.Difference{{Differs: true, UID: 7}, {InTheWay: true, GID: 8}, {}, {Differs: true, InTheWay: true}}
	c, _, _ := serve(t, &apitest.Engine{OnFiles: func(_ context.Context, verb, project string, got ask.FilesOptions) ([]archive.Difference, error) {
		if project != "shop" || !reflect.DeepEqual(got, o) {
			t.Errorf("%s: %s %+v", verb, project, got)
		}
		if verb == "remove" {
			return want[:1], nil
		}
		return want, nil
	}})
	got, err := c.CompareFiles(t.Context(), "shop", o)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("compare: %+v, %v", got, err)
	}
	if got, err = c.RemoveFiles(t.Context(), "shop", o); err != nil || !slices.Equal(got, want[:1]) {
		t.Errorf("remove: %+v, %v", got, err)
	}
}
