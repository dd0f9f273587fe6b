package access

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

// One stream goes to several readers: one that gives up does not keep the others from the rest, and when all have, it is read no further.
func TestFanOut(t *testing.T) {
	text := bytes.Repeat([]byte("a stream for several "), 100_000)
	readers, feed := fanOut(bytes.NewReader(text), 3)
	got := make([][]byte, len(readers))
	var all sync.WaitGroup
	for i, r := range readers {
		all.Go(func() {
			defer r.(io.Closer).Close()
			if i == 1 {
				io.ReadFull(r, make([]byte, 10)) //nolint:errcheck // the others say it
				return
			}
			got[i], _ = io.ReadAll(r)
		})
	}
	feed()
	all.Wait()
	for _, i := range []int{0, 2} {
		if !bytes.Equal(got[i], text) {
			t.Errorf("reader %d has %d of %d bytes", i, len(got[i]), len(text))
		}
	}

	endless := &counter{}
	readers, feed = fanOut(endless, 2)
	for _, r := range readers {
		r.(io.Closer).Close()
	}
	if feed(); endless.reads != 1 {
		t.Errorf("it is read %d times for nobody", endless.reads)
	}

	broken := errors.New("it broke off")
	readers, feed = fanOut(io.MultiReader(bytes.NewReader(text), failing{broken}), 2)
	for i, r := range readers {
		all.Go(func() {
			if _, err := io.ReadAll(r); !errors.Is(err, broken) {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	feed()
	all.Wait()
}

type counter struct{ reads int }

func (c *counter) Read(p []byte) (int, error) { c.reads++; return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
