package severity

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

const (
	longest = 1 << 10 // bytes of a line that is no object: a level stands at its beginning
	fields  = 32      // of them, in which level=… is looked for
	early   = 6       // of them, in which a word alone is a level: `2026-11-30 08:00:00,123 - shop.cart - ERROR - …`
)

// Of is the level that line tells, or None. It knows
//   - objects in JSON with a member level, severity or the like, a word or a number (pino's, syslog's);
//   - level=… as logfmt has it;
//   - a word in capitals among the first ones, or in brackets, or before a colon at the beginning: ERROR, [warn], [core:error], Error:;
//   - one letter for it as glog (E1130 …), Ruby (E, [2026-…) and Redis (1:M … #) write it;
//   - <3> of sd-daemon(3).
//
// A line that begins with a space tells none: it goes on with the one before.
func Of(line []byte) Level {
	if len(line) > 0 && line[0] == '{' {
		return ofObject(line)
	}
	text := plain(line[:min(len(line), longest)])
	if text == "" || text[0] == ' ' || text[0] == '\t' {
		return None
	}
	if l := ofLetter(text); l != None {
		return l
	}
	all := strings.Fields(text)
	before := ":"
	for i, field := range all[:min(len(all), fields)] {
		if l := ofPair(field); l != None {
			return l
		}
		if i < early {
			if l := ofWord(field, strings.HasSuffix(before, ":")); l != None {
				return l
			}
			before = field
		}
	}
	// A column of its own: zap's console.
	if columns := strings.Split(text, "\t"); len(columns) > 2 {
		return named(columns[1])
	}
	return None
}

// isKey says whether the level is told under that name, in lower case.
func isKey(name string) bool {
	switch name {
	case "level", "lvl", "severity", "levelname", "loglevel", "log_level", "log.level", "@level", "@l":
		return true
	}
	return false
}

// ofPair is that of level=warn and level="warn".
func ofPair(field string) Level {
	key, value, ok := strings.Cut(field, "=")
	if !ok || !isKey(strings.ToLower(key)) {
		return None
	}
	return named(strings.ToLower(strings.Trim(value, `",;`)))
}

// ofWord is that of one of the first fields of a line; begins says that it begins the line or what is behind a colon.
func ofWord(field string, begins bool) Level {
	const open, shut = "[<(", "]>)"
	if b := strings.IndexByte(open, field[0]); b >= 0 {
		inner, _, ok := strings.Cut(field[1:], shut[b:b+1])
		if !ok {
			return None
		}
		return named(strings.ToLower(inner[strings.LastIndexByte(inner, ':')+1:])) // Apache: [core:error]
	}
	word, _, colon := strings.Cut(field, ":")
	word = strings.TrimRight(word, "!,|]")
	if word == strings.ToUpper(word) {
		if word == "LOG" && !colon {
			return None // PostgreSQL's has a colon, and nobody else says it
		}
		return named(strings.ToLower(word))
	}
	if environment, level, ok := strings.Cut(word, "."); ok && colon && environment != "" && level == strings.ToUpper(level) {
		return named(strings.ToLower(level)) // Monolog: production.ERROR:
	}
	if colon && begins && word != "log" {
		return named(strings.ToLower(word))
	}
	return None
}

var (
	glog   = lazyregexp.New(`^[IWEF]\d{4} \d\d:\d\d:\d\d`)
	ruby   = lazyregexp.New(`^[DIWEFA], \[\d{4}-`)
	redis  = lazyregexp.New(`^\d+:[A-Z] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d+ ([.*#-]) `)
	daemon = lazyregexp.New(`^<(\d)>`)
)

// ofLetter is that of a line whose level is one character at a place of its own.
func ofLetter(line string) Level {
	switch c := line[0]; {
	case lettered(c) != None && (glog.MatchString(line) || ruby.MatchString(line)):
		return lettered(c)
	case c == '<':
		if m := daemon.FindStringSubmatch(line); m != nil {
			return syslog(int(m[1][0] - '0'))
		}
	case c >= '0' && c <= '9':
		if m := redis.FindStringSubmatch(line); m != nil {
			return marked(m[1])
		}
	}
	return None
}

// marked is that of a mark of Redis.
func marked(mark string) Level {
	switch mark {
	case "#":
		return Warn
	case "*":
		return Info
	}
	return Debug
}

// syslog is that of a severity of RFC 5424 §6.2.1.
func syslog(n int) Level {
	switch {
	case n < 0 || n > 7:
		return None
	case n <= 2:
		return Fatal
	case n == 3:
		return Error
	case n == 4:
		return Warn
	case n <= 6:
		return Info
	}
	return Debug
}

// ofObject is that of a JSON object.
func ofObject(line []byte) Level {
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil {
		return None
	}
	for key, value := range members {
		if !isKey(strings.ToLower(key)) {
			continue
		}
		if l := ofValue(value); l != None {
			return l
		}
	}
	var mongo string // MongoDB: "s":"I", beside a time that is an object
	if members["t"] != nil && json.Unmarshal(members["s"], &mongo) == nil && mongo != "" {
		return lettered(mongo[0])
	}
	var log struct{ Level json.RawMessage } // Elastic Common Schema, nested
	if json.Unmarshal(members["log"], &log) == nil && log.Level != nil {
		return ofValue(log.Level)
	}
	return None
}

// ofValue is that of a member: a word, or a number on the scale of syslog, which ends at 7, or of pino and bunyan, which begins at 10.
func ofValue(value json.RawMessage) Level {
	var word string
	if json.Unmarshal(value, &word) == nil {
		return named(strings.ToLower(word))
	}
	var n int
	if json.Unmarshal(value, &n) != nil {
		return None
	}
	if n >= 10 {
		return min(Level(n/10), Fatal)
	}
	return syslog(n)
}

// plain is line without colours.
func plain(line []byte) string {
	if bytes.IndexByte(line, 0x1b) < 0 {
		return string(line)
	}
	return colour.ReplaceAllString(string(line), "")
}

// colour is SGR of ECMA-48 §8.3.117.
var colour = lazyregexp.New(`\x1b\[[0-9;:]*m`)
