// Package fluentd sends messages by the forward protocol of Fluentd, with the records of docker's driver of that name.
// https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1
package fluentd

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/internal/logdriver/transport"
)

// ackTime bounds the wait for a receiver's word that it has a chunk.
const ackTime = 30 * time.Second

// Sender sends the messages of one container.
type Sender struct {
	conn    *transport.Conn
	tag     string
	fields  []byte // of every record
	count   int    // of them
	precise bool   // times have nanoseconds
	acked   bool   // the receiver says what it has
	cut     [2]piece
	buf     []byte
}

// piece is how far a line is that was cut, of one stream.
type piece struct {
	id      string // "" = none
	ordinal int
}

// Open connects to the receiver that the options name. Precondition: they are checked.
func Open(ctx context.Context, options map[string]string, s *logdriver.Source) (*Sender, error) {
	a, err := logdriver.FluentdAddress(options["fluentd-address"])
	if err != nil {
		return nil, err
	}
	out := newSender(options, s)
	if out.conn, err = transport.Dial(ctx, a, logdriver.TLS{}); err != nil {
		return nil, err
	}
	if !out.acked {
		out.conn.Discard()
	}
	return out, nil
}

func newSender(options map[string]string, s *logdriver.Source) *Sender {
	out := &Sender{tag: logdriver.Tag(options, s)}
	out.precise, _ = strconv.ParseBool(options["fluentd-sub-second-precision"])
	out.acked, _ = strconv.ParseBool(options["fluentd-request-ack"])
	fields := map[string]string{"container_id": s.ID, "container_name": "/" + s.Name} // docker's has the slash
	for k, v := range logdriver.Attributes(options, s) {
		fields[k] = v
	}
	delete(fields, "source") // which are the line's
	delete(fields, "log")
	out.count = len(fields)
	for k, v := range fields {
		out.fields = appendText(appendText(out.fields, k), v)
	}
	return out
}

// append appends m as an entry: its time and its record.
func (s *Sender) append(b []byte, m *logdriver.Message) []byte {
	b = appendArray(b, 2)
	if s.precise {
		b = appendEventTime(b, m.Time)
	} else {
		b = appendSeconds(b, m.Time)
	}
	source, cut := "stdout", &s.cut[0]
	if m.Stderr {
		source, cut = "stderr", &s.cut[1]
	}
	partial := m.Partial || cut.id != ""
	n := s.count + 2
	if partial {
		n += 4
	}
	b = append(appendMap(b, n), s.fields...)
	b = appendText(appendText(b, "source"), source)
	b = appendText(appendText(b, "log"), m.Line)
	if !partial {
		return b
	}
	if cut.id == "" {
		id := make([]byte, 32)
		_, _ = rand.Read(id) // it does not fail
		*cut = piece{id: hex.EncodeToString(id)}
	}
	cut.ordinal++
	b = appendText(appendText(b, "partial_message"), "true")
	b = appendText(appendText(b, "partial_id"), cut.id)
	b = appendText(appendText(b, "partial_ordinal"), strconv.Itoa(cut.ordinal))
	b = appendText(appendText(b, "partial_last"), strconv.FormatBool(!m.Partial))
	if !m.Partial {
		*cut = piece{}
	}
	return b
}

// Send hands messages over, as one chunk. When it fails, any of them may have arrived.
func (s *Sender) Send(all []logdriver.Message) error {
	n, id := 2, ""
	if s.acked {
		n, id = 3, chunkID()
	}
	b := appendText(appendArray(s.buf[:0], n), s.tag)
	b = appendArray(b, len(all))
	for i := range all {
		b = s.append(b, &all[i])
	}
	if s.acked {
		b = appendText(appendText(appendMap(b, 1), "chunk"), id)
	}
	s.buf = b
	if _, err := s.conn.Write(b); err != nil || !s.acked {
		return err
	}
	return s.await(id)
}

func chunkID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it does not fail
	return base64.StdEncoding.EncodeToString(b)
}

// await waits until the receiver has the chunk id.
func (s *Sender) await(id string) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(ackTime)); err != nil {
		return err
	}
	b := make([]byte, 0, 512)
	for {
		n, err := s.conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		got, more, ok := ack(b)
		switch {
		case ok && got == id:
			return nil
		case ok:
			return fmt.Errorf("the receiver has answered for chunk %q, not for %q", got, id)
		case err != nil:
			return fmt.Errorf("no answer that the receiver has it (fluentd-request-ack): %w", err)
		case !more || len(b) == cap(b):
			return errors.New("what the receiver answers is not of the forward protocol")
		}
	}
}

// Flow is how much was written, and how much of it still wait to be received; both are 0 where the receiver itself has said that it has what was sent.
func (s *Sender) Flow() (written, waiting int64, err error) {
	if s.acked {
		return 0, 0, nil
	}
	return s.conn.Flow()
}

// Gone is closed when the receiver has hung up; nil where it is asked for its word, by which that is seen.
func (s *Sender) Gone() <-chan struct{} { return s.conn.Gone() }

// Datagrams is false: it is a stream.
func (s *Sender) Datagrams() bool { return false }

// Close ends the connection. It may come while Send waits, which fails then.
func (s *Sender) Close() error { return s.conn.Close() }
