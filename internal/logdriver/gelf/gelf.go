// Package gelf sends messages in the Graylog Extended Log Format, with the fields of docker's driver of that name.
// https://go2docs.graylog.org/current/getting_in_log_data/gelf.html
package gelf

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/internal/logdriver/transport"
)

// Levels of syslog: docker's driver has these two.
const (
	levelError = 3
	levelInfo  = 6
)

// Bounds of a datagram, and of a message of several: "All chunks MUST arrive within 5 seconds … a message may consist of up to 128 chunks."
const (
	maxDatagram = 1420 // fits a packet of Ethernet with room for tunnels
	headOfChunk = 12
	maxChunks   = 128

	// maxExtra is what beside the text of a message there is room for: of that one byte may be six, as \u0000.
	maxExtra = maxChunks*(maxDatagram-headOfChunk) - 6*maxLine
	maxLine  = 17 << 10
)

// Sender sends the messages of one container.
type Sender struct {
	*transport.Conn
	head, tail []byte // of the object, around what is of one message
	compress   func(io.Writer) io.WriteCloser
	buf        []byte
}

// Open connects to the receiver that the options name. Precondition: they are checked.
func Open(ctx context.Context, options map[string]string, s *logdriver.Source) (*Sender, error) {
	a, err := logdriver.GELFAddress(options["gelf-address"])
	if err != nil {
		return nil, err
	}
	out, err := newSender(options, s)
	if err != nil {
		return nil, err
	}
	if n := len(out.head) + len(out.tail); a.Scheme == "udp" && n > maxExtra {
		return nil, fmt.Errorf("what is sent with each line is %d bytes, and a message by UDP has room for %d: choose fewer labels and variables, or an address of tcp", n, maxExtra)
	}
	if out.Conn, err = transport.Dial(ctx, a, logdriver.TLS{}); err != nil {
		return nil, err
	}
	out.Discard()
	return out, nil
}

func newSender(options map[string]string, s *logdriver.Source) (*Sender, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("cannot say which host it is: %w", err)
	}
	extra := map[string]any{
		"_container_id": s.ID, "_container_name": s.Name, "_image_id": s.ImageID, "_image_name": s.ImageName, "_command": s.Command, "_created": s.Created, "_tag": logdriver.Tag(options, s),
	}
	for k, v := range logdriver.Attributes(options, s) {
		if k[0] != '_' {
			k = "_" + k
		}
		extra[k] = v
	}
	fields, err := json.Marshal(extra)
	if err != nil {
		return nil, err
	}
	name, err := json.Marshal(host)
	if err != nil {
		return nil, err
	}
	out := &Sender{head: fmt.Appendf(nil, `{"version":"1.1","host":%s,"short_message":`, name), tail: append([]byte{','}, fields[1:]...)}
	level := gzip.BestSpeed // docker's
	if text := options["gelf-compression-level"]; text != "" {
		level, _ = strconv.Atoi(text) // checked
	}
	switch options["gelf-compression-type"] {
	case "", "gzip":
		out.compress = func(w io.Writer) io.WriteCloser { z, _ := gzip.NewWriterLevel(w, level); return z }
	case "zlib":
		out.compress = func(w io.Writer) io.WriteCloser { z, _ := zlib.NewWriterLevel(w, level); return z }
	}
	return out, nil
}

// append appends m as an object.
func (s *Sender) append(b []byte, m *logdriver.Message) ([]byte, error) {
	text, err := json.Marshal(string(m.Line))
	if err != nil {
		return nil, err
	}
	level := levelInfo
	if m.Stderr {
		level = levelError
	}
	b = append(append(b, s.head...), text...)
	b = append(b, `,"timestamp":`...)
	b = fmt.Appendf(b, "%d.%03d", m.Time.Unix(), m.Time.Nanosecond()/int(time.Millisecond))
	b = append(b, `,"level":`...)
	b = strconv.AppendInt(b, int64(level), 10)
	return append(b, s.tail...), nil
}

// Send hands messages over. When it fails, any of them may have arrived.
func (s *Sender) Send(all []logdriver.Message) error {
	s.buf = s.buf[:0]
	for i := range all {
		var err error
		if s.Stream { // objects end with a null byte, and are not compressed
			if s.buf, err = s.append(s.buf, &all[i]); err != nil {
				return err
			}
			s.buf = append(s.buf, 0)
			continue
		}
		if s.buf, err = s.append(s.buf[:0], &all[i]); err != nil {
			return err
		}
		if err = s.datagrams(s.buf); err != nil {
			return err
		}
	}
	if !s.Stream {
		return nil
	}
	_, err := s.Write(s.buf)
	return err
}

// datagrams sends one object, in chunks if need be.
func (s *Sender) datagrams(object []byte) error {
	if s.compress != nil {
		var z bytes.Buffer
		w := s.compress(&z)
		_, err := w.Write(object)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return err
		}
		object = z.Bytes()
	}
	if len(object) <= maxDatagram {
		_, err := s.Write(object)
		return err
	}
	const room = maxDatagram - headOfChunk
	n := (len(object) + room - 1) / room // no more than maxChunks, by maxExtra
	chunk := make([]byte, headOfChunk, maxDatagram)
	chunk[0], chunk[1], chunk[11] = 0x1e, 0x0f, byte(n)
	_, _ = rand.Read(chunk[2:10]) // the message's id; it does not fail
	for i := range n {
		chunk[10] = byte(i)
		piece := object[i*room : min((i+1)*room, len(object))]
		if _, err := s.Write(append(chunk, piece...)); err != nil {
			return err
		}
	}
	return nil
}
