package grpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Code says what kind of error a call has ended with.
// https://github.com/grpc/grpc/blob/v1.76.0/doc/statuscodes.md
type Code int

// The codes that are used here.
const (
	OK                Code = 0
	Canceled          Code = 1
	Unknown           Code = 2
	InvalidArgument   Code = 3
	NotFound          Code = 5
	AlreadyExists     Code = 6
	PermissionDenied  Code = 7
	ResourceExhausted Code = 8
	Unimplemented     Code = 12
	Unavailable       Code = 14
)

// Error is what a call has ended with, other than well.
type Error struct {
	Code    Code
	Message string
	Details []byte // google.rpc.Status, encoded: what else a client wants to know; nil = nothing
	// Err is why, when the error is of this program.
	Err error
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// CodeOf is the code that err is told with.
func CodeOf(err error) Code {
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	for _, k := range []struct {
		kind error
		code Code
	}{
		{errdefs.ErrNotFound, NotFound}, {errdefs.ErrAlreadyExists, AlreadyExists}, {errdefs.ErrInvalidArgument, InvalidArgument},
		{errdefs.ErrNotSupported, Unimplemented}, {errdefs.ErrUnavailable, Unavailable}, {context.Canceled, Canceled},
	} {
		if errors.Is(err, k.kind) {
			return k.code
		}
	}
	return Unknown
}

const (
	headStatus  = "Grpc-Status"
	headMessage = "Grpc-Message"
	headDetails = "Grpc-Status-Details-Bin"
)

// setStatus writes the trailers that say what a call has ended with; nil is OK.
func setStatus(h http.Header, err error) {
	code := OK
	if err != nil {
		code = CodeOf(err)
		h.Set(http.TrailerPrefix+headMessage, escape(err.Error()))
		var known *Error
		if errors.As(err, &known) && len(known.Details) > 0 && len(known.Details) < maxDetails {
			h.Set(http.TrailerPrefix+headDetails, base64.RawStdEncoding.EncodeToString(known.Details))
		}
	}
	h.Set(http.TrailerPrefix+headStatus, strconv.Itoa(int(code)))
}

// maxDetails keeps the trailers small: clients bound them.
const maxDetails = 4 << 10

// statusOf reads what a call has ended with from its trailers, or from its header when there was nothing else; nil is OK.
func statusOf(trailer, header http.Header) error {
	text, h := trailer.Get(headStatus), trailer
	if text == "" {
		text, h = header.Get(headStatus), header
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return Errorf(Unknown, "the peer ended the call without saying how")
	}
	if code == int(OK) {
		return nil
	}
	message := unescape(h.Get(headMessage))
	if message == "" {
		message = fmt.Sprintf("the call ended with status %d", code)
	}
	return &Error{Code: Code(code), Message: message}
}

// escape is text as Grpc-Message has it: "Percent-Encoded → 1*(Percent-Byte-Unencoded / Percent-Byte-Encoded)".
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// unescape reads it. What is no escape stays: "… must not discard the status".
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
