package logdriver

import (
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is what is wrong with an option.
type Fault struct {
	Option  string
	Unknown bool   // the driver has no such option
	Missing bool   // it must be there, and is not
	Idle    bool   // it has no effect here, and does no harm
	Detail  string // of the value
	Hint    string
}

// Error is the fault for who has no place in a file to tell it at.
func (f Fault) Error() string {
	text := fmt.Sprintf("logging option %s: %s", f.Option, f.Detail)
	if f.Hint != "" {
		text += ": " + f.Hint
	}
	return text
}

// option is what one may be. error is what is wrong with a value, and what to write.
type option func(value string) error

// drivers are those whose logs are sent, each with its own options.
var drivers = map[string]map[string]option{
	"fluentd": {
		"fluentd-address":                  func(v string) error { _, err := FluentdAddress(v); return err },
		"fluentd-async":                    boolean, // as it is here in any case
		"fluentd-async-connect":            boolean, // likewise
		"fluentd-async-reconnect-interval": duration,
		"fluentd-buffer-limit":             anything,
		"fluentd-max-retries":              number(0, math.MaxInt32),
		"fluentd-read-timeout":             duration,
		"fluentd-request-ack":              boolean,
		"fluentd-retry-wait":               duration,
		"fluentd-sub-second-precision":     boolean,
		"fluentd-write-timeout":            duration,
	},
	"gelf": {
		"gelf-address":             func(v string) error { _, err := GELFAddress(v); return err },
		"gelf-compression-type":    oneOf("gzip", "zlib", "none"),
		"gelf-compression-level":   number(-1, 9),
		"gelf-tcp-max-reconnect":   number(0, math.MaxInt32),
		"gelf-tcp-reconnect-delay": number(0, math.MaxInt32),
	},
	"journald": {},
	"syslog": {
		"syslog-address":         func(v string) error { _, err := SyslogAddress(v); return err },
		"syslog-facility":        func(v string) error { _, err := Facility(v); return err },
		"syslog-format":          oneOf("rfc3164", "rfc5424", "rfc5424micro"),
		"syslog-tls-ca-cert":     file,
		"syslog-tls-cert":        file,
		"syslog-tls-key":         file,
		"syslog-tls-skip-verify": boolean,
	},
}

// ofAll are the options that every driver has.
var ofAll = map[string]option{
	"tag": func(v string) error {
		_, err := expand(v, func(string, string) string { return "" })
		return err
	},
	"labels":       anything,
	"labels-regex": pattern,
	"env":          anything,
	"env-regex":    pattern,

	"mode":            oneOf("blocking", "non-blocking"),
	"max-buffer-size": anything,
	"cache-disabled":  boolean,
	"cache-compress":  boolean,
	"cache-max-size":  anything, // read by who reads max-size
	"cache-max-file":  anything,
}

// Why options have no effect.
const (
	buffer   = "the log on this host is the buffer, cache-max-size and cache-max-file bound it"
	retries  = "it is tried until the receiver is back, after 100ms and then at growing distances up to 30s"
	patience = "a receiver that takes nothing for 30s is taken for away"
)

// idle are options that have no effect, with why.
var idle = map[string]string{
	"max-buffer-size": buffer,
	"cache-disabled":  "what is sent is kept on this host too: it is the buffer while the receiver is away",
	"cache-compress":  "files of logs are not compressed here",

	"fluentd-async-reconnect-interval": retries,
	"fluentd-buffer-limit":             buffer,
	"fluentd-max-retries":              retries,
	"fluentd-read-timeout":             patience,
	"fluentd-retry-wait":               retries,
	"fluentd-write-timeout":            patience,
	"gelf-tcp-max-reconnect":           retries,
	"gelf-tcp-reconnect-delay":         retries,
}

// Sends says whether there is a driver of that name whose logs are sent.
func Sends(driver string) bool { return drivers[driver] != nil }

// Names are the drivers whose logs are sent, sorted.
func Names() []string { return slices.Sorted(maps.Keys(drivers)) }

// Check says what is wrong with the options of a driver that sends, in the order of their names.
func Check(driver string, options map[string]string) []Fault {
	own := drivers[driver]
	var all []Fault
	for _, name := range slices.Sorted(maps.Keys(options)) {
		check := own[name]
		if check == nil {
			check = ofAll[name]
		}
		value := options[name]
		switch {
		case check == nil:
			known := slices.Sorted(maps.Keys(own))
			all = append(all, Fault{Option: name, Unknown: true, Detail: fmt.Sprintf("the driver %s has no such option", driver),
				Hint: "it has " + strings.Join(append(known, "tag", "labels", "labels-regex", "env", "env-regex", "cache-max-size"), ", ") + " and cache-max-file"})
		case idle[name] != "" && check(value) == nil:
			all = append(all, Fault{Option: name, Idle: true, Detail: "it has no effect: " + idle[name]})
		default:
			if err := check(value); err != nil {
				all = append(all, Fault{Option: name, Detail: fmt.Sprintf("%q: %v", value, err)})
			}
		}
	}
	return append(all, together(driver, options)...)
}

// together are the faults of options beside each other.
func together(driver string, options map[string]string) (all []Fault) {
	switch driver {
	case "gelf":
		a, err := GELFAddress(options["gelf-address"])
		if options["gelf-address"] == "" {
			return []Fault{{Option: "gelf-address", Missing: true, Detail: "the driver gelf needs it", Hint: "write udp://HOST:PORT or tcp://HOST:PORT"}}
		}
		for _, name := range []string{"gelf-compression-level", "gelf-compression-type"} {
			if _, there := options[name]; there && err == nil && a.Scheme != "udp" {
				all = append(all, Fault{Option: name, Detail: "only what goes by UDP is compressed", Hint: "remove it, or write an address of udp"})
			}
		}
		return all
	case "syslog":
	default:
		return nil
	}
	for _, pair := range [][2]string{{"syslog-tls-cert", "syslog-tls-key"}, {"syslog-tls-key", "syslog-tls-cert"}} {
		if options[pair[0]] != "" && options[pair[1]] == "" {
			all = append(all, Fault{Option: pair[0], Detail: "it is of no use alone", Hint: "write " + pair[1] + " too"})
		}
	}
	if a, err := SyslogAddress(options["syslog-address"]); err == nil && a.Scheme != "tcp+tls" {
		for _, name := range []string{"syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"} {
			if _, there := options[name]; there {
				all = append(all, Fault{Option: name, Idle: true, Detail: "it has no effect: the address is not one of tcp+tls"})
			}
		}
	}
	return all
}

func anything(string) error { return nil }

func oneOf(words ...string) option {
	return func(v string) error {
		if v == "" || slices.Contains(words, v) {
			return nil
		}
		return fmt.Errorf("expected %s", strings.Join(words, ", "))
	}
}

func number(from, to int) option {
	return func(v string) error {
		if n, err := strconv.Atoi(v); v != "" && (err != nil || n < from || n > to) {
			return fmt.Errorf("expected a number from %d to %d", from, to)
		}
		return nil
	}
}

func duration(v string) error {
	if _, err := time.ParseDuration(v); v != "" && err != nil {
		return fmt.Errorf("expected a time such as 500ms or 1s")
	}
	return nil
}

func boolean(v string) error {
	if _, err := strconv.ParseBool(v); v != "" && err != nil {
		return fmt.Errorf("expected true or false")
	}
	return nil
}

func file(v string) error {
	if v != "" && !path.IsAbs(v) {
		return fmt.Errorf("expected the absolute path of a file on this host")
	}
	return nil
}

func pattern(v string) error {
	if _, err := regexp.Compile(v); err != nil {
		return fmt.Errorf("it is not a regular expression: %w", err)
	}
	return nil
}
