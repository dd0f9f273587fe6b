package syslog

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/internal/sandbox"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.Local)

func source() *logdriver.Source {
	return &logdriver.Source{ID: strings.Repeat("ab", 32), Name: "shop-web-1"}
}

// The formats are docker's, by the examples of RFC 3164 §4.1 and RFC 5424 §6.
func TestFormats(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	for _, c := range []struct {
		options map[string]string
		want    string
	}{
		{nil, fmt.Sprintf("<30>Mar  4 05:06:07 abababababab[%d]: hello", pid)},
		{map[string]string{"tag": "{{.Name}}", "syslog-facility": "local7", "syslog-format": "rfc3164"}, fmt.Sprintf("<190>Mar  4 05:06:07 %s shop-web-1[%d]: hello", host, pid)},
		{map[string]string{"syslog-format": "rfc5424", "tag": "a b"}, fmt.Sprintf("<30>1 %s %s a_b %d a_b - hello", at.Format(time.RFC3339), host, pid)},
		{map[string]string{"syslog-format": "rfc5424micro", "syslog-facility": "0"}, fmt.Sprintf("<6>1 %s %s abababababab %d abababababab - hello", at.Format("2006-01-02T15:04:05.000000Z07:00"), host, pid)},
	} {
		s := newSender(c.options, source(), "tcp")
		if got := string(s.append(nil, &logdriver.Message{Time: at.UTC(), Line: []byte("hello")})); got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.options, got, c.want)
		}
	}
	s := newSender(nil, source(), "tcp")
	if got := string(s.append(nil, &logdriver.Message{Time: at, Stderr: true, Line: []byte("x")})); !strings.HasPrefix(got, "<27>") {
		t.Errorf("stderr is %s", got)
	}
}

// What an image says of itself begins no message of its own.
func TestTagForgesNothing(t *testing.T) {
	s := source()
	s.Command = "sh -c \n<8>Mar  4 05:06:07 sshd[1]: root"
	s.Env = []string{"X=a\r\x00\u0085\u00e9\xffb"}
	for _, format := range []string{"", "rfc3164", "rfc5424", "rfc5424micro"} {
		out := newSender(map[string]string{"syslog-format": format, "env": "X", "tag": "{{.Command}} {{(.ExtraAttributes nil).X}}"}, s, "tcp")
		got := string(out.append(nil, &logdriver.Message{Time: at, Line: []byte("hello")}))
		if strings.ContainsFunc(got, unicode.IsControl) || !strings.Contains(got, "_<8>Mar") {
			t.Errorf("%q: %q", format, got)
		}
		if plain := format == "" || format == "rfc3164"; plain && !strings.Contains(got, "sh -c _<8>Mar  4 05:06:07 sshd[1]: root a___\u00e9") {
			t.Errorf("%q: %q has lost what does no harm", format, got)
		}
	}
}

// send opens a sender of the options, which sends two lines.
func send(t *testing.T, options map[string]string) *Sender {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Open(ctx, options, source())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Send([]logdriver.Message{{Time: at, Line: []byte("one")}, {Time: at, Stderr: true, Line: []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for network, address := range map[string]string{"udp": "127.0.0.1:0", "unixgram": path} {
		in, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := in.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		s := send(t, map[string]string{"syslog-address": network + "://" + in.LocalAddr().String()})
		if _, waiting, err := s.Flow(); waiting != 0 || err != nil || s.Gone() != nil {
			t.Errorf("%s: %d bytes wait (%v) when a datagram is written", network, waiting, err)
		}
		b := make([]byte, 1000)
		for _, want := range []string{"]: one", "]: two"} {
			n, _, err := in.ReadFrom(b)
			if err != nil || !strings.HasSuffix(string(b[:n]), want) {
				t.Errorf("%s: %q, %v", network, b[:n], err)
			}
		}
	}
}

func TestStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": path} {
		in, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		s := send(t, map[string]string{"syslog-address": network + "://" + in.Addr().String()})
		conn, err := in.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		for _, want := range []string{"]: one\n", "]: two\n"} {
			if got, err := r.ReadString('\n'); err != nil || !strings.HasSuffix(got, want) {
				t.Errorf("%s: %q, %v", network, got, err)
			}
		}
		conn.Close()
		select {
		case <-s.Gone():
		case <-time.After(time.Minute):
			t.Errorf("%s: it is not seen that the receiver has hung up", network)
		}
	}
}

// certificate makes one that signs itself, for 127.0.0.1, and writes it down.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// Over TLS messages of RFC 5424 are framed by their length, RFC 5425 §4.3, and a receiver whom nobody vouches for is none.
func TestTLS(t *testing.T) {
	pair, ca := certificate(t)
	in, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got := make(chan string, 8)
	go func() {
		for {
			conn, err := in.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					var n int
					if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
						return
					}
					b := make([]byte, n)
					for i := range b {
						if b[i], err = r.ReadByte(); err != nil {
							return
						}
					}
					got <- string(b)
				}
			}()
		}
	}()
	options := map[string]string{"syslog-address": "tcp+tls://" + in.Addr().String(), "syslog-format": "rfc5424"}
	if s, err := Open(t.Context(), options, source()); err == nil {
		s.Close()
		t.Error("a receiver that nobody vouches for is taken")
	}
	for _, extra := range [][2]string{{"syslog-tls-ca-cert", ca}, {"syslog-tls-skip-verify", "true"}} {
		o := map[string]string{extra[0]: extra[1]}
		for k, v := range options {
			o[k] = v
		}
		s, size := send(t, o), 0
		for _, want := range []string{" - one", " - two"} {
			select {
			case line := <-got:
				size += len(line)
				if !strings.HasSuffix(line, want) {
					t.Errorf("%v: %q", extra, line)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%v: %q did not come", extra, want)
			}
		}
		// What waits is counted where the kernel counts it: the handshake and what TLS adds are of it.
		sandbox.Eventually(t, "nothing waits any more", func() bool {
			written, waiting, err := s.Flow()
			if err != nil || written < int64(size)+200 {
				t.Fatalf("%v: %d of %d bytes wait, %v", extra, waiting, written, err)
			}
			return waiting == 0
		})
	}
}
