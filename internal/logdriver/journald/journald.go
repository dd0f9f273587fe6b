// Package journald sends messages to the journal of this host, by its native protocol, with the fields of docker's driver of that name.
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL
package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/logdriver"
)

// socket is where the journal listens.
var socket = "/run/systemd/journal/socket"

// Priorities of syslog: docker's driver has these two.
const (
	priorityError = 3
	priorityInfo  = 6
)

// writeTime bounds the wait for a journal that takes nothing.
const writeTime = 30 * time.Second

// Sender sends the messages of one container.
type Sender struct {
	conn   *net.UnixConn
	common []byte // fields of every message
	buf    []byte
}

// Open connects to the journal. Precondition: the options are checked.
func Open(ctx context.Context, options map[string]string, s *logdriver.Source) (*Sender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return nil, fmt.Errorf("no journal runs on this host: %w", err)
	}
	return &Sender{conn: conn.(*net.UnixConn), common: common(options, s)}, nil
}

// common are the fields that say whose messages they are. What the options choose of labels and variables may replace them, as with docker.
func common(options map[string]string, s *logdriver.Source) []byte {
	tag := logdriver.Tag(options, s)
	fields := map[string]string{
		"CONTAINER_ID": s.ID[:min(len(s.ID), 12)], "CONTAINER_ID_FULL": s.ID, "CONTAINER_NAME": s.Name, "CONTAINER_TAG": tag, "IMAGE_NAME": s.ImageName, "SYSLOG_IDENTIFIER": tag,
	}
	for k, v := range logdriver.Attributes(options, s) {
		if k = fieldName(k); k != "" {
			fields[k] = v
		}
	}
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		b = appendField(b, k, []byte(fields[k]))
	}
	return b
}

// fieldName is name as that of a field: capitals, digits and underscores, and none of these first, for the journal keeps those for itself.
func fieldName(name string) string {
	b := make([]byte, 0, len(name))
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z':
			r += 'A' - 'a'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
		default:
			r = '_'
		}
		if len(b) > 0 || r != '_' {
			b = append(b, byte(r))
		}
	}
	return string(b)
}

// appendField appends a field: NAME=VALUE, or, for a value with a newline, the name, the length as 64 bits little endian, and the value.
func appendField(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	if bytes.IndexByte(value, '\n') < 0 {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	return append(append(b, value...), '\n')
}

// append appends m as an entry.
func (s *Sender) append(b []byte, m *logdriver.Message) []byte {
	priority := priorityInfo
	if m.Stderr {
		priority = priorityError
	}
	b = appendField(b, "MESSAGE", m.Line)
	b = appendField(b, "PRIORITY", strconv.AppendInt(nil, int64(priority), 10))
	b = appendField(b, "SYSLOG_TIMESTAMP", m.Time.UTC().AppendFormat(nil, time.RFC3339Nano)) // the journal's own is that of the sending
	if m.Partial {
		b = appendField(b, "CONTAINER_PARTIAL_MESSAGE", []byte("true"))
	}
	return append(b, s.common...)
}

// Send hands messages over. When it fails, any of them may have arrived.
func (s *Sender) Send(all []logdriver.Message) error {
	for i := range all {
		s.buf = s.append(s.buf[:0], &all[i])
		if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return err
		}
		_, err := s.conn.Write(s.buf)
		if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
			err = s.sendFile(s.buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sendFile sends an entry that is too large for a datagram: as a file in memory that nobody can change any more.
func (s *Sender) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("cannot make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "journal-entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return fmt.Errorf("cannot write a file in memory: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("cannot seal a file in memory: %w", err)
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(to uintptr) bool { // net does not send rights on a connected socket of datagrams
		sent = unix.Sendmsg(int(to), nil, unix.UnixRights(fd), nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// Flow is 0: an entry that was written is the journal's.
func (s *Sender) Flow() (written, waiting int64, err error) { return 0, 0, nil }

// Gone is nil: that the journal has gone is seen when it is written to.
func (s *Sender) Gone() <-chan struct{} { return nil }

// Datagrams is false: a journal that is away takes none.
func (s *Sender) Datagrams() bool { return false }

// Close ends the connection. It may come while Send waits, which fails then.
func (s *Sender) Close() error { return s.conn.Close() }
