package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// The part of HTTP/1.1 (RFC 9112) that is spoken on the daemon's socket: one request for each connection, bodies of a known length, in chunks, or until the
// connection ends. net/http would do, and costs every command a third of its start: it is TLS and HTTP/2 too.

// Codes of answers, RFC 9110, section 15.
const (
	statusSwitching = 101
	statusOK        = 200
)

const (
	maxHead = 64 << 10 // bytes of an answer's head, and of a chunk's or a trailer's line
	chunk   = 32 << 10 // bytes of a body that is sent in chunks
)

var errMalformed = errors.New("malformed HTTP answer")

// write sends r with header, lines that end with CRLF. A body that ends with an error is left without its end, by which the daemon sees that it is not whole.
func (r *request) write(w io.Writer, header string) error {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: stack\r\nUser-Agent: stack\r\n%s", r.method, r.path, header)
	if r.stream != nil {
		head.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if _, err := io.WriteString(w, head.String()); err != nil {
			return err
		}
		return writeChunks(w, r.stream)
	}
	if r.text != nil || r.method != get {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(r.text))
	}
	head.WriteString("\r\n")
	_, err := w.Write(append([]byte(head.String()), r.text...)) // at once: a small request is one packet
	return err
}

func writeChunks(w io.Writer, r io.Reader) error {
	const room = 16 // for a chunk's size
	buf := make([]byte, room+chunk+2)
	for {
		n, err := r.Read(buf[room : room+chunk])
		if n > 0 {
			size := strconv.AppendInt(nil, int64(n), 16)
			from := room - len(size) - 2
			copy(buf[from:], size)
			copy(buf[room-2:], "\r\n")
			copy(buf[room+n:], "\r\n")
			if _, err := w.Write(buf[from : room+n+2]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			_, err := io.WriteString(w, "0\r\n\r\n")
			return err
		}
		if err != nil {
			return err
		}
	}
}

// response is an answer's head, and its body, which is not read yet.
type response struct {
	code   int
	status string // 404 Not Found
	body   io.Reader
}

// readResponse reads the head of an answer from in, which its body goes on reading.
func readResponse(in *bufio.Reader) (*response, error) {
	room := maxHead
	line, err := readLine(in, &room)
	if err != nil {
		return nil, err
	}
	version, status, _ := strings.Cut(line, " ")
	number, _, _ := strings.Cut(status, " ")
	code, err := strconv.Atoi(number)
	if err != nil || len(number) != 3 || code < 100 || version != "HTTP/1.1" && version != "HTTP/1.0" {
		return nil, fmt.Errorf("%w: it begins with %.40q", errMalformed, line)
	}
	r := &response{code: code, status: status, body: in} // until the connection ends
	length := int64(-1)
	chunked := false
	for {
		line, err := readLine(in, &room)
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%w: header %.40q", errMalformed, line)
		}
		value = strings.Trim(value, " \t")
		switch strings.ToLower(name) {
		case "content-length":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 || length >= 0 && n != length {
				return nil, fmt.Errorf("%w: Content-Length %.40q", errMalformed, value)
			}
			length = n
		case "transfer-encoding":
			if !strings.EqualFold(value, "chunked") || version != "HTTP/1.1" { // section 6.1: in what is older its framing is faulty
				return nil, fmt.Errorf("%w: Transfer-Encoding %.40q", errMalformed, value)
			}
			chunked = true
		}
	}
	switch {
	case code < statusOK || code == 204 || code == 304: // there is none; what follows 101 is another protocol
		r.body = strings.NewReader("")
	case chunked: // section 6.3: it decides
		r.body = &chunks{in: in}
	case length >= 0:
		r.body = &whole{in: in, left: length}
	}
	return r, nil
}

// readLine is a line without its end. room is what is left for it.
func readLine(in *bufio.Reader, room *int) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if *room -= len(part); *room < 0 {
			return "", fmt.Errorf("%w: its head is longer than %d bytes", errMalformed, maxHead)
		}
		line = append(line, part...)
		if err == nil {
			text, ok := strings.CutSuffix(string(line), "\r\n")
			if !ok {
				return "", fmt.Errorf("%w: a line without CR", errMalformed)
			}
			return text, nil
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
}

// whole is a body of a known length.
type whole struct {
	in   io.Reader
	left int64
}

func (b *whole) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.in.Read(p)
	if b.left -= int64(n); err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks is a body in chunks, RFC 9112, section 7.1.
type chunks struct {
	in    *bufio.Reader
	part  whole // of the chunk that is read now
	begun bool
	err   error // after which there is nothing more
}

func (b *chunks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.err == nil && b.part.left == 0 {
		b.next()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.part.Read(p)
	if err != nil && b.part.left > 0 {
		b.err = err
	}
	return n, b.err
}

// next goes to the next chunk, or to the end.
func (b *chunks) next() {
	room := maxHead
	line, err := "", error(nil)
	if b.begun { // each ends with CRLF
		if line, err = readLine(b.in, &room); err == nil && line != "" {
			err = fmt.Errorf("%w: a chunk is longer than it says", errMalformed)
		}
	}
	b.begun = true
	if err == nil {
		line, err = readLine(b.in, &room)
	}
	if b.err = err; err != nil {
		return
	}
	size, _, _ := strings.Cut(line, ";") // what may follow means nothing to us
	n, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 62)
	if err != nil {
		b.err = fmt.Errorf("%w: a chunk of %.40q", errMalformed, line)
		return
	}
	b.part = whole{in: b.in, left: int64(n)}
	if n > 0 {
		return
	}
	for { // trailers
		line, err := readLine(b.in, &room)
		if err != nil {
			b.err = err
			return
		}
		if line == "" {
			b.err = io.EOF
			return
		}
	}
}

// Methods.
const (
	get  = "GET"
	post = "POST"
)

// fit says that path, with its query, can stand in a request's first line.
func fit(path string) error {
	if u, err := url.ParseRequestURI(path); err != nil || u.RequestURI() != path {
		return fmt.Errorf("cannot ask for %q: it is no path with a query", path)
	}
	return nil
}
