package journald

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/logdriver"
)

func source() *logdriver.Source {
	return &logdriver.Source{ID: strings.Repeat("ab", 32), Name: "shop-web-1", ImageName: "nginx:1", Env: []string{"POEM=one\ntwo"}, Labels: map[string]string{"_com.example/a": "b", "___": "x"}}
}

// journal listens where the journal would, and gives the next entry as fields.
func journal(t *testing.T) (next func() map[string]string) {
	t.Helper()
	was := socket
	socket = filepath.Join(t.TempDir(), "socket")
	t.Cleanup(func() { socket = was })
	in, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return func() map[string]string {
		t.Helper()
		if err := in.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		b, oob := make([]byte, 1<<20), make([]byte, 100)
		n, oobn, _, _, err := in.ReadMsgUnix(b, oob)
		if err != nil {
			t.Fatal(err)
		}
		b = b[:n]
		if n == 0 { // journald takes a file for that
			b = sealed(t, oob[:oobn])
		}
		fields := map[string]string{}
		for len(b) > 0 {
			line, rest, ok := bytes.Cut(b, []byte{'\n'})
			if !ok {
				t.Fatalf("no newline after %q", b)
			}
			name, value, plain := strings.Cut(string(line), "=")
			if !plain {
				size := binary.LittleEndian.Uint64(rest)
				value, rest = string(rest[8:8+size]), rest[8+size+1:]
			}
			if _, twice := fields[name]; twice {
				t.Errorf("%s is there twice", name)
			}
			fields[name], b = value, rest
		}
		return fields
	}
}

// sealed is the content of the file that oob carries.
func sealed(t *testing.T, oob []byte) []byte {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	const all = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&all != all {
		t.Errorf("the file has seals %#x, %v: journald refuses it", seals, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFields(t *testing.T) {
	next := journal(t)
	s, err := Open(t.Context(), map[string]string{"tag": "{{.Name}}", "env": "POEM", "labels-regex": "."}, source())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	if err := s.Send([]logdriver.Message{{Time: at, Line: []byte("a=b c")}, {Time: at, Stderr: true, Partial: true, Line: nil}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"MESSAGE": "a=b c", "PRIORITY": "6", "SYSLOG_TIMESTAMP": "2026-03-04T05:06:07.000000008Z", "CONTAINER_ID": "abababababab", "CONTAINER_ID_FULL": strings.Repeat("ab", 32),
		"CONTAINER_NAME": "shop-web-1", "CONTAINER_TAG": "shop-web-1", "SYSLOG_IDENTIFIER": "shop-web-1", "IMAGE_NAME": "nginx:1", "POEM": "one\ntwo", "COM_EXAMPLE_A": "b",
	}
	check := func() {
		t.Helper()
		got := next()
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s is %q, want %q", k, got[k], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v", got)
		}
	}
	check()
	want["MESSAGE"], want["PRIORITY"], want["CONTAINER_PARTIAL_MESSAGE"] = "", "3", "true"
	check()
}

// What is too large for a datagram comes as a sealed file.
func TestLargeEntry(t *testing.T) {
	next := journal(t)
	big := source()
	big.Env = []string{"POEM=" + strings.Repeat("x", 8<<20)}
	s, err := Open(t.Context(), map[string]string{"env": "POEM"}, big)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([]logdriver.Message{{Line: []byte("large")}}); err != nil {
		t.Fatal(err)
	}
	if got := next(); got["MESSAGE"] != "large" || len(got["POEM"]) != 8<<20 {
		t.Errorf("%q with %d bytes came", got["MESSAGE"], len(got["POEM"]))
	}
}

func TestNoJournal(t *testing.T) {
	was := socket
	socket = filepath.Join(t.TempDir(), "socket")
	defer func() { socket = was }()
	if _, err := Open(t.Context(), nil, source()); err == nil || !strings.Contains(err.Error(), "no journal runs on this host") {
		t.Error(err)
	}
}
