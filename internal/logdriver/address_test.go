package logdriver

import "testing"

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"":                            {},
		"udp://logs":                  {Scheme: "udp", Host: "logs:514"},
		"tcp://192.0.2.1:601":         {Scheme: "tcp", Host: "192.0.2.1:601"},
		"tcp+tls://[2001:db8::1]":     {Scheme: "tcp+tls", Host: "[2001:db8::1]:514"},
		"tcp://[2001:db8::1]:6514/":   {Scheme: "tcp", Host: "[2001:db8::1]:6514"},
		"unix:///dev/log":             {Scheme: "unix", Path: "/dev/log"},
		"unixgram:///run/my log.sock": {Scheme: "unixgram", Path: "/run/my log.sock"},
	} {
		if got, err := SyslogAddress(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"logs:514", "http://logs", "tcp://", "tcp://:514", "tcp://logs:0", "tcp://logs:65536", "tcp://logs/path", "tcp://u@logs", "tcp://logs?x=1", "unix://", "unix://relative", "unix:relative"} {
		if got, err := SyslogAddress(text); err == nil {
			t.Errorf("%q is taken: %+v", text, got)
		}
	}
	for text, want := range map[string]Address{
		"": {Scheme: "tcp", Host: "127.0.0.1:24224"}, "logs": {Scheme: "tcp", Host: "logs:24224"}, "logs:1": {Scheme: "tcp", Host: "logs:1"}, "tls://logs": {Scheme: "tcp+tls", Host: "logs:24224"},
		":24225": {Scheme: "tcp", Host: "127.0.0.1:24225"}, "unix:///run/fluentd.sock": {Scheme: "unix", Path: "/run/fluentd.sock"},
	} {
		if got, err := FluentdAddress(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := ParseAddress("udp://logs", 0, "udp"); err == nil {
		t.Error("an address without a port is taken where one is needed")
	}
}
