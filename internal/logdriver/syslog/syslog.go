// Package syslog sends messages to a receiver of syslog, in the formats of docker's driver of that name.
package syslog

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/internal/logdriver/transport"
)

// Severities of RFC 5424 §6.2.1: docker's driver has these two.
const (
	severityError = 3
	severityInfo  = 6
)

// locals are where this host's own receiver may listen, in the order in which they are tried: datagrams before a stream at each.
var locals = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// Sender sends the messages of one container.
type Sender struct {
	*transport.Conn
	prefix [2][]byte // of messages, up to the time: of stdout and of stderr
	middle []byte    // between time and text
	layout string    // of the time
	count  bool      // messages are framed by their length, RFC 5425 §4.3, and not by a newline
	buf    []byte
}

// Open connects to the receiver that the options name. Precondition: they are checked.
func Open(ctx context.Context, options map[string]string, s *logdriver.Source) (*Sender, error) {
	a, err := logdriver.SyslogAddress(options["syslog-address"])
	if err != nil {
		return nil, err
	}
	var conn *transport.Conn
	if a.IsZero() {
		conn, err = openLocal(ctx)
	} else {
		conn, err = transport.Dial(ctx, a, logdriver.SyslogTLS(options))
	}
	if err != nil {
		return nil, err
	}
	conn.Discard()
	out := newSender(options, s, a.Scheme)
	out.Conn = conn
	return out, nil
}

// openLocal connects to this host's receiver.
func openLocal(ctx context.Context) (*transport.Conn, error) {
	var errs []error
	for _, path := range locals {
		for _, scheme := range []string{"unixgram", "unix"} {
			conn, err := transport.Dial(ctx, logdriver.Address{Scheme: scheme, Path: path}, logdriver.TLS{})
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
	}
	return nil, errors.Join(errs[0], errors.New("no receiver of syslog listens on this host: name one with syslog-address"))
}

func newSender(options map[string]string, s *logdriver.Source, scheme string) *Sender {
	facility, _ := logdriver.Facility(options["syslog-facility"])
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-" // RFC 5424 §6: not known
	}
	tag, pid := oneLine(logdriver.Tag(options, s)), strconv.Itoa(os.Getpid())
	out := &Sender{}
	version, head := "", ""
	switch format := options["syslog-format"]; format {
	case "rfc5424", "rfc5424micro":
		app := word(tag)
		out.layout = time.RFC3339
		if format == "rfc5424micro" {
			out.layout = "2006-01-02T15:04:05.000000Z07:00"
		}
		version = "1 "
		out.middle = []byte(" " + host + " " + app + " " + pid + " " + app + " - ") // the tag is APP-NAME and MSGID, as docker has it
		out.count = scheme == "tcp+tls"
	case "rfc3164":
		head = host + " "
		fallthrough
	default: // as a program writes to this host's own
		out.layout = time.Stamp
		out.middle = []byte(" " + head + tag + "[" + pid + "]: ")
	}
	for i, severity := range []int{severityInfo, severityError} {
		out.prefix[i] = []byte("<" + strconv.Itoa(facility<<3|severity) + ">" + version)
	}
	return out
}

// oneLine is text without control characters. A tag may have what an image says of itself, its command or a label, and a newline there would begin a message of its own on a stream.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, text)
}

// word is text as a field of RFC 5424 §6, which is PRINTUSASCII.
func word(text string) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text
}

// append appends m as a message.
func (s *Sender) append(b []byte, m *logdriver.Message) []byte {
	if m.Stderr {
		b = append(b, s.prefix[1]...)
	} else {
		b = append(b, s.prefix[0]...)
	}
	b = m.Time.Local().AppendFormat(b, s.layout)
	b = append(b, s.middle...)
	return append(b, m.Line...)
}

// Send hands messages over. When it fails, any of them may have arrived.
func (s *Sender) Send(all []logdriver.Message) error {
	s.buf = s.buf[:0]
	var one []byte
	for i := range all {
		switch {
		case !s.Stream:
			s.buf = s.append(s.buf[:0], &all[i])
			if _, err := s.Write(s.buf); err != nil {
				return err
			}
		case s.count:
			one = s.append(one[:0], &all[i])
			s.buf = append(strconv.AppendInt(s.buf, int64(len(one)), 10), ' ')
			s.buf = append(s.buf, one...)
		default:
			s.buf = append(s.append(s.buf, &all[i]), '\n')
		}
	}
	if s.Stream {
		_, err := s.Write(s.buf)
		return err
	}
	return nil
}
