package logdriver

import "strings"

// FluentdAddress reads the option fluentd-address: HOST[:PORT] by TCP, tcp://HOST[:PORT], tls://HOST[:PORT] or unix:///PATH. "" is this host's.
func FluentdAddress(text string) (Address, error) {
	if text == "" {
		return Address{Scheme: "tcp", Host: "127.0.0.1:24224"}, nil
	}
	if !strings.Contains(text, "://") {
		text = "tcp://" + text
	}
	scheme, rest, _ := strings.Cut(text, "://")
	if strings.HasPrefix(rest, ":") { // the port alone, as docker has it
		text = scheme + "://127.0.0.1" + rest
	}
	a, err := ParseAddress(text, 24224, "tcp", "tls", "unix")
	if a.Scheme == "tls" {
		a.Scheme = "tcp+tls"
	}
	return a, err
}
