package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	originAttempts = 5
	mirrorAttempts = 2
	lookupAttempts = 2
	firstDelay     = 200 * time.Millisecond
	maxDelay       = 10 * time.Second
	// maxRetryAfter is the longest wait that a registry can ask for and get; beyond it the user is told, and decides.
	maxRetryAfter = time.Minute
)

// waiter pauses; tests do not. It returns the context's cause when that ends first.
type waiter func(ctx context.Context, d time.Duration) error

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff is the pause before attempt n (1 = the first repetition): it doubles, with a random half, so that many pulls
// that failed together do not come back together.
func backoff(n int) time.Duration {
	d := min(firstDelay<<min(n-1, 10), maxDelay)
	return d/2 + rand.N(d/2)
}

// retrier repeats requests that failed for a reason that may pass.
type retrier struct {
	base     http.RoundTripper
	attempts int
	wait     waiter
}

func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	for n := 1; ; n++ {
		resp, err := r.base.RoundTrip(req)
		if err := tooLate(resp, time.Now()); err != nil {
			return nil, err
		}
		pause, again := retryIn(resp, err, n)
		// A resolver asks each server several times itself, and calls it temporary that there is no network.
		var dns *net.DNSError
		if errors.As(err, &dns) && n >= lookupAttempts {
			again = false
		}
		// A request with a body (a token request by POST) can be repeated only when its body can be had again.
		if !again || n >= r.attempts || req.Context().Err() != nil || req.Body != nil && req.GetBody == nil {
			return resp, err
		}
		if resp != nil {
			io.CopyN(io.Discard, resp.Body, 64<<10) //nolint:errcheck // only to keep the connection
			resp.Body.Close()
		}
		if err := r.wait(req.Context(), pause); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
	}
}

func retryIn(resp *http.Response, err error, n int) (time.Duration, bool) {
	if err != nil {
		return backoff(n), transient(err)
	}
	if !temporary(resp.StatusCode) {
		return 0, false
	}
	if asked, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		return asked, true
	}
	return backoff(n), true
}

// temporary tells answers that another request may not have.
func temporary(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	}
	return false
}

// lateError is an answer with which a server asks to be left alone for longer than a request waits. The answer itself is in it.
type lateError struct {
	after  time.Duration
	answer error // a *transport.Error
}

func (e *lateError) Error() string {
	return fmt.Sprintf("%v, and wants no request for %s", e.answer, roughly(e.after))
}
func (e *lateError) Unwrap() error { return e.answer }

// tooLate is resp, which it closes then, as an error if it asks for more patience than a request has; else nil.
func tooLate(resp *http.Response, now time.Time) error {
	if resp == nil || !temporary(resp.StatusCode) {
		return nil
	}
	asked, ok := retryAfter(resp.Header.Get("Retry-After"), now)
	if !ok || asked <= maxRetryAfter {
		return nil
	}
	defer resp.Body.Close()
	return &lateError{after: asked, answer: transport.CheckError(resp)}
}

// roughly is a time as people say it: nobody waits for the second.
func roughly(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%d seconds", int64(d.Round(time.Second)/time.Second))
	}
	minutes := int64((d + time.Minute - 1) / time.Minute) // not sooner than it was asked for
	hours := minutes / 60
	switch {
	case hours == 0:
		return fmt.Sprintf("%d minutes", minutes)
	case hours == 1 && minutes == 60:
		return "one hour"
	case hours < 24 && minutes%60 == 0:
		return fmt.Sprintf("%d hours", hours)
	case hours < 24:
		return fmt.Sprintf("%d h %d min", hours, minutes%60)
	case minutes <= 24*60:
		return "one day"
	}
	return fmt.Sprintf("%d days", (minutes+24*60-1)/(24*60))
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(at.Sub(now), 0), true
}

// transient tells errors of a connection that another one may not have. Refused connections and names that do not
// exist stay what they are within the seconds that a user waits.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errPlainHTTP) || errors.Is(err, errTLSNotWanted) {
		return false
	}
	for _, passing := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, errStalled} {
		if errors.Is(err, passing) {
			return true
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary && !dns.IsNotFound
	}
	return isTimeout(err)
}
