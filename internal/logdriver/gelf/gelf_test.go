package gelf

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"math/rand"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/logdriver"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)

func source() *logdriver.Source {
	return &logdriver.Source{
		ID: strings.Repeat("ab", 32), Name: "shop-web-1", ImageID: "sha256:1", ImageName: "nginx:1", Command: "nginx -g", Created: at, Env: []string{"COLOUR=red"}, Labels: map[string]string{"_team": "shop"},
	}
}

// check compares a message with what docker would send.
func check(t *testing.T, raw []byte, text string, level float64) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %q", err, raw)
	}
	host, _ := os.Hostname()
	want := map[string]any{
		"version": "1.1", "host": host, "short_message": text, "timestamp": 1772600767.089, "level": level, "_container_id": strings.Repeat("ab", 32), "_container_name": "shop-web-1",
		"_image_id": "sha256:1", "_image_name": "nginx:1", "_command": "nginx -g", "_created": "2026-03-04T05:06:07.089Z", "_tag": "t/shop-web-1", "_COLOUR": "red", "_team": "shop",
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
}

func options(more ...string) map[string]string {
	o := map[string]string{"tag": "t/{{.Name}}", "env": "COLOUR", "labels": "_team"}
	for i := 0; i < len(more); i += 2 {
		o[more[i]] = more[i+1]
	}
	return o
}

func TestDatagrams(t *testing.T) {
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := in.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 9000) // does not compress to one datagram
	for i := range noise {
		noise[i] = byte(' ' + 1 + rand.Intn('~'-' '))
	}
	for kind, open := range map[string]func(io.Reader) (io.Reader, error){
		"": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }, "gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zlib": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }, "none": func(r io.Reader) (io.Reader, error) { return r, nil },
	} {
		s, err := Open(t.Context(), options("gelf-address", "udp://"+in.LocalAddr().String(), "gelf-compression-type", kind, "gelf-compression-level", "5"), source())
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`say "hello"`, string(noise)} {
			if err := s.Send([]logdriver.Message{{Time: at, Stderr: text != string(noise), Line: []byte(text)}}); err != nil {
				t.Fatal(err)
			}
			level := 3.0
			if text == string(noise) {
				level = 6
			}
			z, err := open(bytes.NewReader(message(t, in)))
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			raw, err := io.ReadAll(z)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			check(t, raw, text, level)
		}
		s.Close()
	}
}

// message puts a message together.
func message(t *testing.T, in net.PacketConn) (all []byte) {
	t.Helper()
	b := make([]byte, 70000)
	id := ""
	for seq, count := 0, 1; seq < count; seq++ {
		n, _, err := in.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if n > maxDatagram {
			t.Errorf("a datagram of %d bytes", n)
		}
		if !bytes.HasPrefix(b, []byte{0x1e, 0x0f}) {
			return append([]byte(nil), b[:n]...)
		}
		if seq == 0 {
			id, count = string(b[2:10]), int(b[11])
		}
		if string(b[2:10]) != id || int(b[10]) != seq || int(b[11]) != count {
			t.Fatalf("chunk %d of %d, id %x, when %d of %d of %x was expected", b[10], b[11], b[2:10], seq, count, id)
		}
		all = append(all, b[headOfChunk:n]...)
	}
	return all
}

func TestStream(t *testing.T) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	s, err := Open(t.Context(), options("gelf-address", "tcp://"+in.Addr().String()), source())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([]logdriver.Message{{Time: at, Line: []byte("one")}, {Time: at, Stderr: true, Line: []byte("t\x00wo")}}); err != nil {
		t.Fatal(err)
	}
	conn, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i, text := range []string{"one", "t\x00wo"} {
		raw, err := r.ReadBytes(0)
		if err != nil {
			t.Fatal(err)
		}
		check(t, raw[:len(raw)-1], text, []float64{6, 3}[i])
	}
}

// Labels and variables for which a message has no room are refused before anything is sent; with as many as it has room for any line is sent.
func TestTooLarge(t *testing.T) {
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	o := options("gelf-address", "udp://"+in.LocalAddr().String(), "gelf-compression-type", "none")
	big := source()
	big.Env = []string{"COLOUR=" + strings.Repeat("x", maxExtra)}
	if _, err := Open(t.Context(), o, big); err == nil || !strings.Contains(err.Error(), "choose fewer labels and variables") {
		t.Error(err)
	}
	big.Env = []string{"COLOUR=" + strings.Repeat("x", maxExtra-1000)}
	s, err := Open(t.Context(), o, big)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([]logdriver.Message{{Line: make([]byte, 16<<10)}}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, maxDatagram)
	if err := in.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.ReadFrom(b); err != nil || b[11] > maxChunks || b[11] < maxChunks-20 {
		t.Errorf("%d chunks, %v", b[11], err)
	}
}
