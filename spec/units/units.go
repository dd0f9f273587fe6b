// Package units reads the small notations of the Compose file: durations, byte
// sizes, file modes and command lines. All functions are pure.
package units

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var durations = map[string]float64{
	"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 24 * 3600e9, "w": 7 * 24 * 3600e9,
}

// Duration reads "1h30m", "1.5s", "2d". A number without unit is an error, but for 0.
func Duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, errors.New("it is empty")
	}
	if s == "0" {
		return 0, nil
	}
	var total float64
	for rest := s; rest != ""; {
		n := 0
		for n < len(rest) && (rest[n] == '.' || '0' <= rest[n] && rest[n] <= '9') {
			n++
		}
		if n == 0 {
			return 0, fmt.Errorf("expected a number at %q", rest)
		}
		v, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", rest[:n])
		}
		rest = rest[n:]
		u := 0
		for u < len(rest) && rest[u] != '.' && (rest[u] < '0' || rest[u] > '9') {
			u++
		}
		if u == 0 {
			return 0, fmt.Errorf("%q has no unit", s)
		}
		f, ok := durations[rest[:u]]
		if !ok {
			return 0, fmt.Errorf("%q is not a unit", rest[:u])
		}
		rest = rest[u:]
		total += v * f
	}
	if total > math.MaxInt64/2 {
		return 0, errors.New("it is too long")
	}
	return time.Duration(total), nil
}

// Bytes reads "512m", "1.5gb", "64kib", "1024". Units are powers of 1024 in any case.
func Bytes(s string) (int64, error) {
	n := 0
	for n < len(s) && (s[n] == '.' || '0' <= s[n] && s[n] <= '9') {
		n++
	}
	if n == 0 {
		return 0, fmt.Errorf("%q does not start with a number", s)
	}
	v, err := strconv.ParseFloat(s[:n], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s[:n])
	}
	unit := strings.ToLower(strings.TrimPrefix(s[n:], " "))
	shift, ok := map[string]int{
		"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20,
		"g": 30, "gb": 30, "gib": 30, "t": 40, "tb": 40, "tib": 40, "p": 50, "pb": 50, "pib": 50,
	}[unit]
	if !ok {
		return 0, fmt.Errorf("%q is not a unit", s[n:])
	}
	if shift == 0 && strings.IndexByte(s[:n], '.') < 0 { // exact above 2^53
		i, err := strconv.ParseInt(s[:n], 10, 64)
		if err != nil {
			return 0, errors.New("it is too large")
		}
		return i, nil
	}
	v *= float64(int64(1) << shift)
	if v >= math.MaxInt64 {
		return 0, errors.New("it is too large")
	}
	return int64(v), nil
}

// ErrTruncated says that a command line has an unquoted operator of a shell.
// docker compose drops it and everything after it, so Words does too.
type ErrTruncated struct{ Dropped string }

func (e *ErrTruncated) Error() string {
	return fmt.Sprintf("%q is dropped: no shell runs this command", e.Dropped)
}

// Words splits a command line as docker compose does: blanks separate, single and
// double quotes group, a backslash takes the next character (\n and \t are
// newline and tab) but in single quotes. What is between backquotes or in $(…) is left as it is, for the
// shell that the command may have. With an *ErrTruncated the words are valid.
func Words(s string) ([]string, error) {
	words := []string{}
	var b strings.Builder
	have := false
	var quote rune // which ends what is quoted; a parenthesis for $(
	depth := 0     // of parentheses in it
	escaped := false
	for i, r := range s {
		switch {
		case quote == '`' || quote == ')':
			b.WriteRune(r)
			switch {
			case escaped:
				escaped = false
			case r == '\\':
				escaped = true
			case quote == ')' && r == '(':
				depth++
			case quote == ')' && r == ')' && depth > 0:
				depth--
			case r == quote:
				quote = 0
			}
		case escaped:
			switch r {
			case 't':
				r = '\t'
			case 'n':
				r = '\n'
			}
			b.WriteRune(r)
			escaped, have = false, true
		case quote == '\'':
			if r == '\'' {
				quote = 0
			} else {
				b.WriteRune(r)
			}
		case r == '\\':
			escaped = true
		case quote == '"':
			if r == '"' {
				quote = 0
			} else {
				b.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, have = r, true
		case r == '`':
			b.WriteRune(r)
			quote, have = r, true
		case r == '(' && strings.HasSuffix(b.String(), "$"):
			b.WriteRune(r)
			quote, depth = ')', 0
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if have {
				words = append(words, b.String())
				b.Reset()
				have = false
			}
		case strings.ContainsRune(";&|<>", r):
			if n := b.Len(); r == '>' && n > 0 && strings.Trim(b.String(), "0123456789") == "" {
				have, i = false, i-n // 2> is of the redirection
			}
			if have {
				words = append(words, b.String())
			}
			return words, &ErrTruncated{s[i:]}
		default:
			b.WriteRune(r)
			have = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	if escaped {
		return nil, errors.New("it ends with a backslash")
	}
	if have {
		words = append(words, b.String())
	}
	return words, nil
}
