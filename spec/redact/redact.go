// Package redact knows what must not be shown to who did not ask for it: a log of
// progress, an explanation or an error is often kept by CI and sent around. It goes
// by names, so it hides too much rather than too little. It is pure.
package redact

import (
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// Hidden stands for what is not shown.
const Hidden = "(hidden)"

// words are parts of the names of variables and keys that hold secrets.
const words = `PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|DSN|PRIVATE`

var (
	telling = lazyregexp.New(`(?i)` + words)
	// withPassword is a URL that carries a password.
	withPassword = lazyregexp.New(`(://[^/\s"@:]*:)[^/\s"@]+@`)
	// assignment is NAME=value or NAME: value with a telling name. A value that starts a block or a
	// list is not meant: those hold names (secrets: [db]).
	assignment = lazyregexp.New(`(?i)([A-Z0-9_.-]*(?:` + words + `)[A-Z0-9_.-]*)["']?(?:[:=][ \t]*|[ \t]+=[ \t]*)([^\s\[{|>].*)$`)
	// collection is a list or mapping where the value of an environment variable, all in capitals, is meant.
	collection = lazyregexp.New(`\b([A-Z0-9_]*(?:` + words + `)[A-Z0-9_]*)["']?:[ \t]*([\[{].*)$`)
	// key is a line of a key or certificate in its text form (RFC 7468).
	key = lazyregexp.New(`^\s*[A-Za-z0-9+/]{40,}={0,2}\s*$`)
)

// Name says whether a variable or key of this name holds a secret.
func Name(name string) bool {
	return name != "PWD" && name != "OLDPWD" && telling.MatchString(name) && !whereabouts.MatchString(name) && !choice.MatchString(name)
}

// whereabouts are ends of names whose value says where a secret is, or which one: DB_PASSWORD_FILE.
var whereabouts = lazyregexp.New(`(?i)_(FILE|FILES|PATH|DIR|SOCK)$`)

// choice are names whose value is one of a few that everybody knows, and that files of databases are full of: POSTGRES_HOST_AUTH_METHOD,
// --default-authentication-plugin, MYSQL_ALLOW_EMPTY_PASSWORD.
var choice = lazyregexp.New(`(?i)(AUTH(ENTICATION)?[_-](METHOD|PLUGIN|TYPE|ENABLED)|ALLOW_EMPTY_(ROOT_)?PASSWORD|RANDOM_ROOT_PASSWORD)$`)

// secretAssignment is where assignment matches l with a name that is no choice: what follows one may be a secret.
func secretAssignment(l string) []int {
	for from := 0; ; {
		m := assignment.FindStringSubmatchIndex(l[from:])
		if m == nil {
			return nil
		}
		if !choice.MatchString(l[from:][m[2]:m[3]]) {
			for i := range m {
				m[i] += from
			}
			return m
		}
		from += m[3]
	}
}

// Label is Name for a key that may have parts: of traefik.http.routers.auth.rule only the last tells, but for
// the parts that are for users' passwords.
func Label(key string) bool {
	if strings.Contains(key, "basicauth") || strings.Contains(key, "digestauth") {
		return true
	}
	return Name(key[strings.LastIndexByte(key, '.')+1:])
}

// Text hides the secrets of a value: passwords of URLs, assignments to telling names, keys.
func Text(s string) string {
	if !strings.ContainsAny(s, "=:\n") {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if len(lines) > 1 {
			lines[i], _ = Line(l)
			continue
		}
		if m := secretAssignment(l); m != nil && strings.Contains(l[m[3]:m[4]], "=") {
			l = l[:m[4]] + Hidden
		}
		lines[i] = URLs(l)
	}
	return strings.Join(lines, "\n")
}

// Value says whether s itself shows a secret, whatever its name is.
func Value(s string) bool { return withPassword.MatchString(s) }

// URLs is s with the passwords of URLs hidden.
func URLs(s string) string { return withPassword.ReplaceAllString(s, "${1}"+Hidden+"@") }

// Line hides the secrets of one line of a file, and gives the offset in bytes from which on it may differ.
func Line(line string) (string, int) {
	if key.MatchString(line) {
		return Hidden, 0
	}
	at, out := len(line), line
	if m := secretAssignment(out); m != nil && !ours(out[m[2]:m[3]]) {
		out, at = out[:m[4]]+Hidden, m[4]
	}
	if m := collection.FindStringSubmatchIndex(out); m != nil && Name(out[m[2]:m[3]]) {
		out, at = out[:m[4]]+Hidden, min(at, m[4])
	}
	if m := withPassword.FindStringSubmatchIndex(out); m != nil {
		at = min(at, m[3])
		out = URLs(out)
	}
	return out, at
}

// ours says whether a telling name is a word of the Compose language that has no secret for value.
func ours(name string) bool { return name == "secrets" || name == "credential_spec" }
