package network

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// option is a driver option: its name, which is docker's, and what its value must be.
type option struct {
	name  string
	check func(value string) error
}

// checkOptions says what is wrong with those of c's options that its driver knows.
func checkOptions(c Config) error {
	for _, o := range mediumOf(nil, c.Driver).options() {
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

// UnknownOptions are those of c that its driver does not know, sorted. Docker passes them over, and so does Create. Pure.
func UnknownOptions(c Config) (unknown []string) {
	m := mediumOf(nil, c.Driver)
	for _, name := range slices.Sorted(maps.Keys(c.DriverOpts)) {
		if m != nil && !slices.ContainsFunc(m.options(), func(o option) bool { return o.name == name }) {
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

// OptionOf is the driver option that an error of Check, CheckNetwork or Create is about; "" = none, or many.
func OptionOf(err error) string {
	var e optionError
	if errors.As(err, &e) {
		return e.option
	}
	return ""
}

// expected says what a value should be.
func expected(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("expected "+format, args...))
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
	if v == "" || len(v) >= unix.IFNAMSIZ || strings.ContainsAny(v, "/ \t\n:") {
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

// Options of driver bridge.
const (
	optMTU        = "com.docker.network.driver.mtu"
	optBridge     = "com.docker.network.bridge.name"
	optMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optHostIP     = "com.docker.network.bridge.host_binding_ipv4"
	optICC        = "com.docker.network.bridge.enable_icc"
	optDefault    = "com.docker.network.bridge.default_bridge"
)

const defaultMTU = 1500

func mtu(c Config) int {
	if n, err := strconv.Atoi(c.DriverOpts[optMTU]); err == nil {
		return n
	}
	return defaultMTU
}

func (onBridge) options() []option {
	return []option{
		{optMTU, func(v string) error {
			if n, err := strconv.Atoi(v); err != nil || n < 576 || n > 65535 {
				return expected("a number of bytes from 576 to 65535")
			}
			return nil
		}},
		{optBridge, linkName},
		{optMasquerade, boolean},
		{optHostIP, ipv4},
		{optICC, only(true, "containers of one network reach each other; use a network for each group of containers")},
		{optDefault, only(false, "no network is shared by all projects")},
		// Docker's others are refused, but for what they are without being written: who asks for less reach must not get more.
		{"com.docker.network.bridge.gateway_mode_ipv4", onlyWord("nat")},
		{"com.docker.network.bridge.gateway_mode_ipv6", onlyWord("nat")},
		{"com.docker.network.bridge.inhibit_ipv4", only(false, "the bridge is the gateway and has its address")},
		{"com.docker.network.bridge.trusted_host_interfaces", onlyWord("")},
		{"com.docker.network.container_iface_prefix", onlyWord("eth")},
		{"com.docker.network.host_ipv4", onlyWord("")},
		{"com.docker.network.host_ipv6", onlyWord("")},
	}
}
