package buildkit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/stackrun/stack/api/docker/buildkit/message"
)

// progress is what is told of one build. Whoever asks for its Status takes what has happened; there is one who asks. Safe for concurrent use.
type progress struct {
	ref string

	mu      sync.Mutex
	waiting message.Status // what nobody has taken
	bytes   int            // of logs and warnings in it, see room
	lost    bool           // logs were left out, and that was said
	over    bool
	changed chan struct{} // closed, and made anew, when there is more to take
	open    map[string]message.Vertex
}

// maxWaiting bounds the logs and warnings that nobody takes, bytes. BuildKit keeps as much of each step.
const maxWaiting = 2 << 20

// around is what an entry of a status takes beside its text, bytes: a step may write its output letter by letter.
const around = 256

func newProgress(ref string) *progress {
	return &progress{ref: ref, changed: make(chan struct{}), open: map[string]message.Vertex{}}
}

// digest stands for the step key in this build.
func (p *progress) digest(key string) string {
	sum := sha256.Sum256([]byte(p.ref + "\x00" + key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (p *progress) tell(fn func(s *message.Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	fn(&p.waiting)
	close(p.changed)
	p.changed = make(chan struct{})
}

// begin says that the step key is under way; name is shown.
func (p *progress) begin(key, name string) {
	p.tell(func(s *message.Status) {
		if _, ok := p.open[key]; ok {
			return
		}
		v := message.Vertex{Digest: p.digest(key), Name: name, Started: time.Now()}
		p.open[key] = v
		s.Vertexes = append(s.Vertexes, v)
	})
}

// end says what has become of it; err nil = it is done.
func (p *progress) end(key, name string, cached bool, err error) {
	p.tell(func(s *message.Status) {
		v, ok := p.open[key]
		if !ok {
			v = message.Vertex{Digest: p.digest(key), Name: name, Started: time.Now()}
		}
		delete(p.open, key)
		v.Cached, v.Completed = cached, time.Now()
		if err != nil {
			v.Error = err.Error()
		}
		s.Vertexes = append(s.Vertexes, v)
	})
}

// step is begin, fn and end.
func (p *progress) step(key, name string, fn func() error) error {
	p.begin(key, name)
	err := fn()
	p.end(key, name, false, err)
	return err
}

// room takes so many bytes; false = there is none. Precondition: mu is held.
func (p *progress) room(bytes int) bool {
	if p.bytes+bytes > maxWaiting {
		return false
	}
	p.bytes += bytes
	return true
}

// log is what a step has written.
func (p *progress) log(key string, text []byte) {
	p.tell(func(s *message.Status) {
		digest := p.digest(key)
		if n := len(s.Logs) - 1; n >= 0 && s.Logs[n].Vertex == digest && !p.lost && p.room(len(text)) {
			s.Logs[n].Text = append(s.Logs[n].Text, text...)
			return
		}
		if !p.room(around + len(text)) {
			if p.lost {
				return
			}
			p.lost, text = true, []byte("[what follows is left out: the client does not take it]\n")
		}
		s.Logs = append(s.Logs, message.VertexLog{Vertex: digest, Time: time.Now(), Text: bytes.Clone(text)})
	})
}

// transfer says how many bytes the part id of a step has brought.
func (p *progress) transfer(key, id string, began time.Time, bytes int64, done bool) {
	p.tell(func(s *message.Status) {
		st := message.VertexStatus{ID: id, Vertex: p.digest(key), Current: bytes, Time: time.Now(), Started: began}
		if done {
			st.Completed = st.Time
		}
		for i := range s.Statuses { // only the latest is of interest
			if s.Statuses[i].ID == id && s.Statuses[i].Vertex == st.Vertex {
				s.Statuses[i] = st
				return
			}
		}
		s.Statuses = append(s.Statuses, st)
	})
}

// warn says a sentence. Of more than anybody takes the rest is left out: it is the client itself that says so many.
func (p *progress) warn(text string) {
	p.tell(func(s *message.Status) {
		if !p.room(around + len(text)) {
			return
		}
		key := "warning " + text
		now := time.Now()
		s.Vertexes = append(s.Vertexes, message.Vertex{Digest: p.digest(key), Name: "WARNING: " + text, Started: now, Completed: now})
	})
}

// finish says that the build is over. Steps under way were given up.
func (p *progress) finish() {
	p.tell(func(s *message.Status) {
		for _, v := range p.open {
			v.Completed = time.Now()
			v.Error = "canceled"
			s.Vertexes = append(s.Vertexes, v)
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.over = true
		close(p.changed)
	}
}

// take waits for what has happened since it was called last. false = that was all.
func (p *progress) take(ctx context.Context) (message.Status, bool, error) {
	for {
		p.mu.Lock()
		s, over, changed := p.waiting, p.over, p.changed
		p.waiting, p.bytes, p.lost = message.Status{}, 0, false
		p.mu.Unlock()
		if len(s.Vertexes)+len(s.Statuses)+len(s.Logs)+len(s.Warnings) > 0 {
			return s, true, nil
		}
		if over {
			return s, false, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, false, context.Cause(ctx)
		}
	}
}
