package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// errOffline is that no registry may be asked.
var errOffline = errors.New("is not asked: the configuration file says `offline: true`")

// ErrDenied is a registry that wants other credentials, or any.
var ErrDenied = errors.New("access denied")

// attempt is one endpoint that did not give what was asked for.
type attempt struct {
	endpoint endpoint
	err      error
}

// PullError says why a reference could not be had, endpoint by endpoint. errors.Is finds the kind that the
// origin's answer has: errdefs.ErrNotFound, ErrDenied or errdefs.ErrUnavailable.
type PullError struct {
	Ref   string
	kind  error
	tries []attempt
	hint  string
}

func (e *PullError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot pull %s: ", e.Ref)
	for i, t := range e.tries {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s %s", t.endpoint.describe(), Describe(t.err))
	}
	if e.hint != "" {
		b.WriteString("; " + e.hint)
	}
	return b.String()
}

// Complete says that the text needs nothing in front of it: it says what could not be done.
func (e *PullError) Complete() bool { return true }

func (e *PullError) Unwrap() []error {
	errs := []error{e.kind}
	for _, t := range e.tries {
		errs = append(errs, t.err)
	}
	return errs
}

// pullError judges by the last attempt, which is the origin: that a mirror has no copy, or is down, says nothing
// of the image.
func pullError(ref reference.Reference, tries []attempt, warnings []string) error {
	last := tries[len(tries)-1]
	e := &PullError{Ref: ref.Familiar(), tries: tries, kind: Kind(last.err)}
	switch e.kind {
	case errdefs.ErrNotFound:
		e.hint = "check the name and the tag"
	case ErrDenied:
		e.hint = fmt.Sprintf("the repository may not exist, or needs credentials: docker login %s, or podman login", ref.Host)
		if len(warnings) > 0 {
			e.hint += " (" + strings.Join(warnings, "; ") + ")"
		}
	case errdefs.ErrUnavailable:
		e.hint = "check the network, or give a mirror of " + ref.Host + " in registries.mirrors of the configuration file"
		switch hint := patienceHint(last.err, ref.Host); {
		case hint != "":
			e.hint = hint + ", or give a mirror of it in registries.mirrors of the configuration file"
		case errors.Is(last.err, errOffline):
			e.hint = "load the image with `stack load -i FILE`, or take that out and restart the daemon"
		case errors.Is(last.err, http.ErrSchemeMismatch):
			e.hint = "it speaks http without TLS: add it to registries.insecure of the configuration file to allow that"
		}
	}
	return e
}

// patienceHint is what to do about a registry, of host, that wants fewer requests or none for a while; "" = it has not said so.
func patienceHint(err error, host string) string {
	var late *lateError
	switch {
	case status(err) == http.StatusTooManyRequests:
		return fmt.Sprintf("log in to %[1]s for a higher limit (docker login %[1]s, or podman login)", host)
	case errors.As(err, &late):
		return "ask " + host + " again then"
	}
	return ""
}

// Kind sorts what a registry said.
func Kind(err error) error {
	switch status(err) {
	case 0:
	case http.StatusNotFound:
		return errdefs.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrDenied
	default:
		return errdefs.ErrUnavailable
	}
	if errors.Is(err, content.ErrUnusable) {
		return errdefs.ErrInvalidArgument
	}
	return errdefs.ErrUnavailable
}

func status(err error) int {
	var te *transport.Error
	if errors.As(err, &te) {
		return te.StatusCode
	}
	return 0
}

// Describe says what an endpoint did in a few words; the library's own text has request lines and nested prefixes.
func Describe(err error) string {
	var late *lateError
	if errors.As(err, &late) {
		return Describe(late.answer) + ", and wants no request for " + roughly(late.after)
	}
	var te *transport.Error
	if errors.As(err, &te) {
		said := ""
		if len(te.Errors) > 0 {
			d := te.Errors[0]
			said = ": " + strings.TrimSpace(d.Message)
			if d.Message == "" {
				said = ": " + string(d.Code)
			}
		}
		text := http.StatusText(te.StatusCode)
		switch te.StatusCode {
		case http.StatusNotFound:
			return "does not have it (404" + said + ")"
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Sprintf("refuses access (%d%s)", te.StatusCode, said)
		case http.StatusTooManyRequests:
			return "limits the rate of requests (429" + said + ")"
		}
		return fmt.Sprintf("answers %d %s%s", te.StatusCode, text, said)
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, errOffline):
		return err.Error()
	case errors.As(err, &dns):
		return fmt.Sprintf("is not reachable: no address for %s", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is not reachable: connection refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "is not reachable: no route to it"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "is not reachable: no answer in time"
	}
	return "failed: " + err.Error()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// PushError says of a whole push of ref what went wrong, and what to do. warning is why it had no credentials, "" = nothing. What no registry has said is told as it is.
func PushError(ref reference.Reference, err error, warning string) error {
	kind, hint := Kind(err), ""
	switch {
	case status(err) == 0 && (errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, errdefs.ErrNotSupported)):
		return fmt.Errorf("cannot push %s: %w", ref.Familiar(), err)
	case kind == ErrDenied:
		hint = fmt.Sprintf("; pushing needs credentials that may write to %s: docker login %s, or podman login", ref.Repo, ref.Host)
		if warning != "" {
			hint += " (" + warning + ")"
		}
	case kind == errdefs.ErrNotFound:
		hint = "; the registry may want the repository to be made first"
	case patienceHint(err, ref.Host) != "":
		hint = "; " + patienceHint(err, ref.Host)
	case errors.Is(err, errPlainHTTP), errors.Is(err, http.ErrSchemeMismatch):
		hint = "; it speaks http without TLS: add it to registries.insecure of the configuration file to allow that"
	}
	return errdefs.With(kind, fmt.Errorf("cannot push %s: %s %s%s%w", ref.Familiar(), ref.Host, Describe(err), hint, silent{err}))
}

// silent is an error that is there to be looked for, and was said in other words.
type silent struct{ err error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.err }
