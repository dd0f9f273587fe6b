package logdriver

import (
	"fmt"
	"slices"
	"strconv"
)

// facilities are RFC 5424's, by number, §6.2.1, as docker writes them. Those without a word are written as numbers.
var facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// Facility is the number of a facility of syslog. "" is daemon.
func Facility(text string) (int, error) {
	if text == "" {
		text = "daemon"
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < len(facilities) {
		return n, nil
	}
	if n := slices.Index(facilities, text); n >= 0 {
		return n, nil
	}
	return 0, fmt.Errorf("expected 0 to 23 or one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, local0 to local7")
}

// SyslogAddress reads the option syslog-address. "" is the zero Address: the socket of this host's own.
func SyslogAddress(text string) (Address, error) {
	return ParseAddress(text, 514, "udp", "tcp", "tcp+tls", "unix", "unixgram")
}

// TLS are files by which a receiver and its client know each other; "" = none.
type TLS struct {
	CA, Cert, Key string
	SkipVerify    bool
}

// SyslogTLS reads the options syslog-tls-*.
func SyslogTLS(options map[string]string) TLS {
	skip, _ := strconv.ParseBool(options["syslog-tls-skip-verify"])
	return TLS{CA: options["syslog-tls-ca-cert"], Cert: options["syslog-tls-cert"], Key: options["syslog-tls-key"], SkipVerify: skip}
}
