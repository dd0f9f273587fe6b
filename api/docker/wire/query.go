package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bool is the query parameter name. As for dockerd anything is true but "", 0, no, false and none.
func Bool(r *http.Request, name string) bool {
	switch strings.ToLower(strings.TrimSpace(r.URL.Query().Get(name))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// BoolOr is Bool, or otherwise when the parameter is not there at all.
func BoolOr(r *http.Request, name string, otherwise bool) bool {
	if !r.URL.Query().Has(name) {
		return otherwise
	}
	return Bool(r, name)
}

// Int is the query parameter name, otherwise when it is not there or empty. ErrInvalidArgument.
func Int(r *http.Request, name string, otherwise int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, invalid("invalid value for %s: %q is no integer", name, text)
	}
	return n, nil
}

// Time reads a query's moment: seconds since 1970 with up to nine decimals, or RFC 3339, or a duration before now. The zero time for "".
// ErrInvalidArgument names the parameter.
func Time(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	seconds, decimals, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || len(decimals) > 9 || decimals != "" && !number(decimals) {
		return time.Time{}, invalid("invalid value for %s: %q is neither seconds since 1970 nor a time as in RFC 3339", name, text)
	}
	n, _ := strconv.ParseInt((decimals + "000000000")[:9], 10, 64)
	return time.Unix(s, n), nil
}

// Until is the moment of the filter until, of which there may be one: a time, or a duration before now. The zero time without. ErrInvalidArgument.
func Until(f Filters, now time.Time) (time.Time, error) {
	switch values := f["until"]; len(values) {
	case 0:
		return time.Time{}, nil
	case 1:
		return Time("until", values[0], now)
	}
	return time.Time{}, invalid("more than one until filter specified")
}
