package containers

import (
	"context"
	"io"
	"time"

	"github.com/stackrun/stack/api/docker/wire"
)

// line is a connection that was taken over for the streams of a process.
type line struct {
	conn   wire.Conn
	input  *io.PipeReader // what the client sends
	pumped chan struct{}  // closed when it sends no more
	gone   chan struct{}  // closed when it has gone, and reads no more either
}

// open begins to read what the client sends. Whoever does not read input holds nobody up once it is closed.
func open(conn wire.Conn) *line {
	in, feed := io.Pipe()
	l := &line{conn: conn, input: in, pumped: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		_, err := io.Copy(feed, conn)
		feed.CloseWithError(err)  // nil is io.EOF
		io.Copy(io.Discard, conn) //nolint:errcheck // to its end: see close
		close(l.pumped)
		if conn.Gone() {
			close(l.gone)
		}
	}()
	return l
}

// farewell bounds how long a client is waited for that has been told that nothing more comes.
const farewell = 5 * time.Second

// close lets the client have all that it was sent. To close with bytes unread would reset the connection, and take our last words with it (unix(7)).
func (l *line) close() {
	l.input.Close()
	l.conn.CloseWrite()                              //nolint:errcheck // it has gone
	l.conn.SetReadDeadline(time.Now().Add(farewell)) //nolint:errcheck // as above
	<-l.pumped
	l.conn.Close()
}

// whenGone calls leave when the client has gone before ctx ends. One that only sends no more has not.
func (l *line) whenGone(ctx context.Context, leave func()) {
	go func() {
		select {
		case <-l.gone:
			leave()
		case <-ctx.Done():
		}
	}()
}

// outputs are where a process writes to: two streams, or with a terminal one.
func outputs(w io.Writer, terminal, stdout, stderr bool) (out, err io.Writer) {
	if terminal {
		if stdout || stderr {
			out = w
		}
		return out, nil
	}
	frames := wire.NewFrames(w)
	if stdout {
		out = frames.Stream(wire.Stdout)
	}
	if stderr {
		err = frames.Stream(wire.Stderr)
	}
	return out, err
}

// escapable is r up to the keys by which a user leaves, with cancel called at them.
func escapable(r io.Reader, keys []byte, cancel context.CancelFunc) io.Reader {
	if len(keys) == 0 {
		return r
	}
	return &escape{r: r, keys: keys, left: cancel}
}

type escape struct {
	r     io.Reader
	keys  []byte
	seen  int    // of keys
	ready []byte // to be handed on
	left  func()
	err   error
}

// Read hands on what was held back for a beginning of the keys when it was none after all.
func (e *escape) Read(p []byte) (int, error) {
	for len(e.ready) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		buf := make([]byte, len(p))
		n, err := e.r.Read(buf)
		e.err = err
		for _, b := range buf[:n] {
			if b == e.keys[e.seen] {
				if e.seen++; e.seen == len(e.keys) {
					e.err = io.EOF
					e.left()
					break
				}
				continue
			}
			e.ready = append(e.ready, e.keys[:e.seen]...)
			if e.seen = 0; b == e.keys[0] {
				e.seen = 1
				continue
			}
			e.ready = append(e.ready, b)
		}
		if e.seen == len(e.keys) {
			e.seen = 0
		} else if err != nil && e.seen > 0 {
			e.ready, e.seen = append(e.ready, e.keys[:e.seen]...), 0
		}
	}
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	return n, nil
}

// detachKeys reads "ctrl-p,ctrl-q" and the like; "" = those.
func detachKeys(text string) ([]byte, error) {
	if text == "" {
		return []byte{'p' & 0x1f, 'q' & 0x1f}, nil
	}
	var keys []byte
	for len(text) > 0 {
		var word string
		word, text = cutKey(text)
		switch {
		case len(word) == 1:
			keys = append(keys, word[0])
		case len(word) == 6 && word[:5] == "ctrl-" && (word[5] >= 'a' && word[5] <= 'z' || word[5] == '@' || word[5] >= '[' && word[5] <= '_'):
			keys = append(keys, word[5]&0x1f)
		default:
			return nil, invalid("invalid escape keys (%s) provided", word)
		}
	}
	return keys, nil
}

// cutKey cuts text at its first comma that is not a key itself.
func cutKey(text string) (word, rest string) {
	for i := 1; i < len(text); i++ {
		if text[i] == ',' {
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}
