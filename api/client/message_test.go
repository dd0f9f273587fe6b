package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// TestRequestsAreHTTP: what is written is what net/http reads.
func TestRequestsAreHTTP(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 10_000)
	for what, c := range map[string]struct {
		r      request
		length int64
		body   string
	}{
		"a question":    {request{method: get, path: "/v1/projects/a%2Fb/containers?options=%7B%7D"}, 0, ""},
		"no body":       {request{method: post, path: "/v1/gc"}, 0, ""},
		"a body":        {request{method: post, path: "/v1/gc", text: []byte(`{"check":true}`)}, 14, `{"check":true}`},
		"a long body":   {request{method: post, path: "/v1/gc", text: []byte(long)}, int64(len(long)), long},
		"a stream":      {request{method: post, path: "/v1/images/load", stream: strings.NewReader(long)}, -1, long},
		"a slow stream": {request{method: post, path: "/v1/images/load", stream: iotest.OneByteReader(strings.NewReader("abc"))}, -1, "abc"},
		"an empty one":  {request{method: post, path: "/v1/images/load", stream: strings.NewReader("")}, -1, ""},
	} {
		var b bytes.Buffer
		if err := c.r.write(&b, "Stack-Version: 1\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(&b)
		got, err := http.ReadRequest(in)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != c.body || got.Method != c.r.method || got.RequestURI != c.r.path || got.ContentLength != c.length || got.Header.Get("Stack-Version") != "1" || got.Host != "stack" {
			t.Errorf("%s: %v, %+v, %d bytes", what, err, got, len(body))
		}
		if in.Buffered() != 0 {
			t.Errorf("%s: %d bytes too many", what, in.Buffered())
		}
	}
}

// TestAStreamThatFailsHasNoEnd: the daemon takes it for what it is.
func TestAStreamThatFailsHasNoEnd(t *testing.T) {
	var b bytes.Buffer
	failed := errors.New("the disk is gone")
	r := request{method: post, path: "/x", stream: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(failed))}
	if err := r.write(&b, ""); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", body, err)
	}
}

func TestFit(t *testing.T) {
	for path, want := range map[string]bool{
		"/v1/projects/shop/up": true, path("a/b c", "logs?options=%7B%22a%22%3A1%7D"): true, "/a b": false, "/a\r\nX: y": false, "v1": false, "": false, "/é": false,
	} {
		if err := fit(path); (err == nil) != want {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// answers are what a daemon may say, and what it may not.
var answers = []string{
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhelloand more",
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00a;x=y\r\n, the rest\r\n0\r\nTrailer: x\r\n\r\nmore",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nab",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellox\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
	"HTTP/1.0 200 OK\r\n\r\nuntil the end",
	"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nframes",
	"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/1.1 200 OK\r\nContent-Length: 5",
	"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
	"HTTP/1.1 99 Less\r\n\r\n",
	"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n{}",
	"SSH-2.0-OpenSSH\r\n",
	"",
}

// compare reads text both ways.
func compare(t *testing.T, text string) {
	ours, err := readResponse(bufio.NewReader(iotest.HalfReader(strings.NewReader(text))))
	theirs, terr := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		return // who is stricter only fails earlier
	}
	body, err := io.ReadAll(io.LimitReader(ours.body, 1<<20))
	if terr != nil {
		return
	}
	tbody, terr := io.ReadAll(io.LimitReader(theirs.Body, 1<<20))
	if ours.code != theirs.StatusCode || err == nil && terr == nil && !bytes.Equal(body, tbody) {
		t.Errorf("%q:\n%d, %q, net/http has %d, %q", text, ours.code, body, theirs.StatusCode, tbody)
	}
	if err == nil && terr != nil {
		t.Errorf("%q: %q was taken for whole, net/http has: %v", text, body, terr)
	}
}

// TestAnswersAreHTTP: what net/http writes and reads we read alike, and what it takes for cut off is that for us.
func TestAnswersAreHTTP(t *testing.T) {
	for _, text := range answers {
		compare(t, text)
	}
	for i, want := range []struct {
		body string
		err  error
	}{0: {"hello", nil}, 1: {"", nil}, 2: {"hello", io.ErrUnexpectedEOF}, 3: {"hello, the rest", nil}, 4: {"helloab", io.ErrUnexpectedEOF}, 5: {"hello", io.ErrUnexpectedEOF}, 6: {"hello", errMalformed}, 7: {"", errMalformed}, 8: {"", errMalformed}, 9: {"until the end", nil}, 10: {"", nil}, 11: {"{}", nil}, 12: {"{}", nil}} {
		r, err := readResponse(bufio.NewReader(strings.NewReader(answers[i])))
		if err != nil {
			t.Errorf("%q: %v", answers[i], err)
			continue
		}
		body, err := io.ReadAll(r.body)
		if string(body) != want.body || !errors.Is(err, want.err) {
			t.Errorf("%q: %q, %v", answers[i], body, err)
		}
	}
	for _, text := range append([]string{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n"}, answers[13:]...) {
		if r, err := readResponse(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%.60q was taken for an answer: %+v", text, r)
		}
	}
	// What follows an answer that is not the end of the connection stays: frames do.
	in := bufio.NewReader(strings.NewReader(answers[10]))
	if _, err := readResponse(in); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in); string(rest) != "frames" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, text := range answers {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { compare(t, text) })
}
