package definition

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// option is a driver option: its name, which is docker's, and what its value must be.
type option struct {
	name  string
	check func(value string) error
}

// checkOptions says what is wrong with those of c's options that its driver knows. Precondition: there is one.
func (c Config) checkOptions() error {
	for _, o := range options(c.driver()) {
		v, given := c.DriverOpts[o.name]
		if !given {
			continue
		}
		if err := o.check(v); err != nil {
			return optionError{o.name, fmt.Errorf("%s is %q; %w", o.name, v, err)}
		}
	}
	return nil
}

// UnknownOptions are those of c that its driver does not know, sorted. Docker passes them over, and so do we.
func (c Config) UnknownOptions() (unknown []string) {
	d := c.driver()
	for _, name := range slices.Sorted(maps.Keys(c.DriverOpts)) {
		if d != nil && !slices.ContainsFunc(options(d), func(o option) bool { return o.name == name }) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// optionError is about a driver option.
type optionError struct {
	option string
	error
}

func (e optionError) Unwrap() error { return e.error }

// AboutOption is err as one about a driver option.
func AboutOption(option string, err error) error { return optionError{option, err} }

// OptionOf is the driver option that an error of a check, or of the making of a network, is about; "" = none, or many.
func OptionOf(err error) string {
	var e optionError
	if errors.As(err, &e) {
		return e.option
	}
	return ""
}

// poolError is about one of Config.Pools.
type poolError struct {
	index int
	error
}

func (e poolError) Unwrap() error { return e.error }

// AboutPool is err as one about the i-th of a network's pools.
func AboutPool(i int, err error) error { return poolError{i, err} }

// PoolOf is which of a network's pools an error of a check, or of the making of a network, is about; -1 = none, or many.
func PoolOf(err error) int {
	var e poolError
	if errors.As(err, &e) {
		return e.index
	}
	return -1
}

// expected says what a value should be.
func expected(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("expected "+format, args...))
}

// Options of every driver, which docker's engine takes for the keys of a network where those are not set.
const (
	OptIPv4 = "com.docker.network.enable_ipv4"
	OptIPv6 = "com.docker.network.enable_ipv6"
)

// options are those of a network of d.
func options(d driver) []option {
	return append(d.options(), option{OptIPv4, boolean}, option{OptIPv6, boolean})
}

func boolean(v string) error {
	if _, err := strconv.ParseBool(v); err != nil {
		return expected("true or false")
	}
	return nil
}

// only takes a boolean that is no other than value; why says why the other is not to be had.
func only(value bool, why string) func(v string) error {
	return func(v string) error {
		on, err := strconv.ParseBool(v)
		switch {
		case err != nil:
			return boolean(v)
		case on != value:
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("which is not supported: %s", why))
		}
		return nil
	}
}

// onlyWord takes nothing but word, which is docker's default.
func onlyWord(word string) func(v string) error {
	return func(v string) error {
		if v == "" || v == word {
			return nil
		}
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("which is not supported; remove it for the default, %q", word))
	}
}

// oneOf takes one of words; "" is the first, and the default.
func oneOf(words ...string) func(v string) error {
	return func(v string) error {
		if v == "" || slices.Contains(words, v) {
			return nil
		}
		last := len(words) - 1
		return expected("%s or %s", strings.Join(words[:last], ", "), words[last])
	}
}

func linkName(v string) error {
	if v == "" || len(v) >= interfaceNameSize || strings.ContainsAny(v, "/ \t\n:") {
		return expected("1 to 15 characters without /, : and blanks")
	}
	return nil
}

func ipv4(v string) error {
	if a, err := netip.ParseAddr(v); err != nil || !a.Is4() {
		return expected("an IPv4 address")
	}
	return nil
}
