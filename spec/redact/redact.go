// Package redact knows what must not be shown to who did not ask for it: a log of
// progress, an explanation or an error is often kept by CI and sent around. It goes
// by names, so it hides too much rather than too little. It is pure.
package redact

import "regexp"

// Hidden stands for what is not shown.
const Hidden = "(hidden)"

// words are parts of the names of variables and keys that hold secrets.
const words = `PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|DSN|PRIVATE`

var (
	telling = regexp.MustCompile(`(?i)` + words)
	// withPassword is a URL that carries a password.
	withPassword = regexp.MustCompile(`(://[^/\s"@:]*:)[^/\s"@]+@`)
	// assignment is NAME=value or NAME: value with a telling name. No value that starts a block
	// or a list follows: those hold names (secrets: [db]).
	assignment = regexp.MustCompile(`(?i)([A-Z0-9_.-]*(?:` + words + `)[A-Z0-9_.-]*["']?(?:[:=][ \t]*|[ \t]+=[ \t]*))([^\s\[{|>].*)$`)
)

// Name says whether a variable or key of this name holds a secret.
func Name(name string) bool { return name != "PWD" && telling.MatchString(name) }

// Value says whether s itself shows a secret, whatever its name is.
func Value(s string) bool { return withPassword.MatchString(s) }

// Line hides the secrets of one line of a file, and gives the offset in bytes at which
// it first differs; len(line) when it does not.
func Line(line string) (string, int) {
	at, out := len(line), line
	if m := assignment.FindStringSubmatchIndex(out); m != nil {
		out, at = out[:m[4]]+Hidden, m[4]
	}
	if m := withPassword.FindStringSubmatchIndex(out); m != nil {
		at = min(at, m[3])
		out = withPassword.ReplaceAllString(out, "${1}"+Hidden+"@")
	}
	return out, at
}
