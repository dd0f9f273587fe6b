package fluentd

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/logdriver"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

func source() *logdriver.Source {
	return &logdriver.Source{ID: strings.Repeat("ab", 32), Name: "shop-web-1", Env: []string{"COLOUR=red", "log=mine"}, Labels: map[string]string{"team": strings.Repeat("t", 40)}}
}

// decode reads one value of MessagePack, as the specification says it and not as it is written here.
func decode(r *bufio.Reader) (any, error) {
	number := func(n int) (int, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		v := 0
		for _, c := range b {
			v = v<<8 | int(c)
		}
		return v, err
	}
	text := func(n int, err error) (any, error) {
		b := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(r, b)
		}
		return string(b), err
	}
	array := func(n int, err error) (any, error) {
		out := []any{}
		for ; err == nil && n > 0; n-- {
			var v any
			v, err = decode(r)
			out = append(out, v)
		}
		return out, err
	}
	mapping := func(n int, err error) (any, error) {
		out := map[string]string{}
		for ; err == nil && n > 0; n-- {
			var k, v any
			if k, err = decode(r); err == nil {
				v, err = decode(r)
			}
			if err == nil {
				if _, twice := out[k.(string)]; twice {
					return nil, fmt.Errorf("%v is there twice", k)
				}
				out[k.(string)] = v.(string)
			}
		}
		return out, err
	}
	c, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	switch {
	case c&0xe0 == 0xa0:
		return text(int(c&0x1f), nil)
	case c == 0xdb:
		return text(number(4))
	case c == 0xdd:
		return array(number(4))
	case c == 0xdf:
		return mapping(number(4))
	case c == 0xd3:
		return number(8)
	case c == 0xd7: // an extension of eight bytes
		b := make([]byte, 9)
		_, err := io.ReadFull(r, b)
		return [3]uint32{uint32(b[0]), binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])}, err
	}
	return nil, fmt.Errorf("byte %#x is not expected", c)
}

// receive accepts a connection to in and hands on the chunks that come, each of which answer may answer.
func receive(t *testing.T, in net.Listener, answer func(chunk string) []byte) <-chan []any {
	t.Helper()
	chunks := make(chan []any, 100)
	go func() {
		conn, err := in.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for r := bufio.NewReader(conn); ; {
			v, err := decode(r)
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			chunk := v.([]any)
			chunks <- chunk
			if len(chunk) == 3 {
				for _, c := range answer(chunk[2].(map[string]string)["chunk"]) { // byte by byte: it may come in parts
					if _, err := conn.Write([]byte{c}); err != nil {
						return
					}
				}
			}
		}
	}()
	return chunks
}

func next(t *testing.T, chunks <-chan []any) []any {
	t.Helper()
	select {
	case c := <-chunks:
		return c
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		return nil
	}
}

func listen(t *testing.T, network string) (net.Listener, string) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	in, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in, network + "://" + in.Addr().String()
}

func TestRecords(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		in, address := listen(t, network)
		chunks := receive(t, in, nil)
		s, err := Open(t.Context(), map[string]string{"fluentd-address": address, "tag": "docker.{{.Name}}", "env": "COLOUR,log", "labels": "team"}, source())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Send([]logdriver.Message{{Time: at, Line: []byte("one")}, {Time: at, Stderr: true, Line: []byte(strings.Repeat("2", 70000))}}); err != nil {
			t.Fatal(err)
		}
		chunk := next(t, chunks)
		if len(chunk) != 2 || chunk[0] != "docker.shop-web-1" {
			t.Fatalf("%v", chunk)
		}
		want := map[string]string{"container_id": strings.Repeat("ab", 32), "container_name": "/shop-web-1", "COLOUR": "red", "team": strings.Repeat("t", 40), "source": "stdout", "log": "one"}
		for i, entry := range chunk[1].([]any) {
			if i == 1 {
				want["source"], want["log"] = "stderr", strings.Repeat("2", 70000)
			}
			e := entry.([]any)
			if got := e[1].(map[string]string); e[0] != int(at.Unix()) || !maps.Equal(got, want) {
				t.Errorf("%v %v", e[0], got)
			}
		}
	}
}

func TestNanoseconds(t *testing.T) {
	in, address := listen(t, "tcp")
	chunks := receive(t, in, nil)
	s, err := Open(t.Context(), map[string]string{"fluentd-address": address, "fluentd-sub-second-precision": "true"}, source())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([]logdriver.Message{{Time: at, Line: []byte("one")}}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, chunks)[1].([]any)[0].([]any)[0]; got != [3]uint32{0, uint32(at.Unix()), 89} {
		t.Errorf("%v", got)
	}
}

// Pieces of a line that was cut have what fluent-plugin-concat puts them together by; the streams do not mix.
func TestPieces(t *testing.T) {
	in, address := listen(t, "tcp")
	chunks := receive(t, in, nil)
	s, err := Open(t.Context(), map[string]string{"fluentd-address": address}, source())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, batch := range [][]logdriver.Message{{{Partial: true, Line: []byte("a")}, {Stderr: true, Line: []byte("e")}, {Partial: true, Line: []byte("b")}}, {{Line: []byte("c")}, {Line: []byte("d")}}} {
		if err := s.Send(batch); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	ids := map[string]bool{}
	for range 2 {
		for _, entry := range next(t, chunks)[1].([]any) {
			r := entry.([]any)[1].(map[string]string)
			got = append(got, strings.TrimSpace(r["log"]+" "+r["partial_message"]+" "+r["partial_ordinal"]+" "+r["partial_last"]))
			if r["partial_message"] != "" {
				ids[r["partial_id"]] = true
			}
		}
	}
	if want := "a true 1 false, e, b true 2 false, c true 3 true, d"; strings.Join(got, ", ") != want || len(ids) != 1 || ids[""] {
		t.Errorf("%q with ids %v, want %q", got, ids, want)
	}
}

// With fluentd-request-ack a chunk has arrived when the receiver has said so.
func TestAcknowledged(t *testing.T) {
	in, address := listen(t, "tcp")
	send := func(answer func(string) []byte) error {
		receive(t, in, answer)
		s, err := Open(t.Context(), map[string]string{"fluentd-address": address, "fluentd-request-ack": "true"}, source())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Send([]logdriver.Message{{Time: at, Line: []byte("one")}}); err != nil {
			return err
		}
		if written, waiting, err := s.Flow(); written != 0 || waiting != 0 || err != nil {
			t.Errorf("%d bytes of %d wait (%v), though the receiver has said that it has them", waiting, written, err)
		}
		return s.Send([]logdriver.Message{{Time: at, Line: []byte("two")}})
	}
	for name, c := range map[string]struct {
		answer func(id string) []byte
		bad    string
	}{
		"short text":       {func(id string) []byte { return append([]byte{0x81, 0xa3, 'a', 'c', 'k', 0xa0 | byte(len(id))}, id...) }, ""},
		"text of 8 bits":   {func(id string) []byte { return append([]byte{0x81, 0xa3, 'a', 'c', 'k', 0xd9, byte(len(id))}, id...) }, ""},
		"binary of 8 bits": {func(id string) []byte { return append([]byte{0x81, 0xa3, 'a', 'c', 'k', 0xc4, byte(len(id))}, id...) }, ""},
		"of 16 bits": {func(id string) []byte {
			return append([]byte{0xde, 0, 1, 0xa3, 'a', 'c', 'k', 0xda, 0, byte(len(id))}, id...)
		}, ""},
		"as written here": {func(id string) []byte { return appendText(appendText(appendMap(nil, 1), "ack"), id) }, ""},
		"another chunk":   {func(string) []byte { return []byte{0x81, 0xa3, 'a', 'c', 'k', 0xa1, 'x'} }, `for chunk "x"`},
		"something else":  {func(string) []byte { return []byte("HTTP/1.1 400") }, "not of the forward protocol"},
	} {
		if err := send(c.answer); (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzAck(f *testing.F) {
	f.Add([]byte{0x81, 0xa3, 'a', 'c', 'k', 0xa1, 'x'})
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, more, ok := ack(b); ok && (more || len(id) > len(b)) {
			t.Errorf("%q of %q, more: %v", id, b, more)
		}
	})
}
