package tree

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// What yaml.v3 says of some faults is true where its parser gives up, and no help where the file is wrong. This file looks for the latter.
// Lines and columns count from 1, columns in characters.

// tabAt is the first tab in the indentation of a line from the given one on; 0, 0 = there is none.
func tabAt(data []byte, from int) (line, column int) {
	for text := range bytes.Lines(data) {
		if line++; line < from {
			continue
		}
		blank := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if i := bytes.IndexByte(blank, '\t'); i >= 0 {
			return line, i + 1
		}
	}
	return 0, 0
}

// controlAt is the first character that YAML does not allow, with what it is; "" = there is none.
// https://yaml.org/spec/1.2.2/#51-character-set
func controlAt(data []byte) (line, column int, what string) {
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == '\t' || r == '\r' || r == '\u0085':
		case unicode.IsControl(r) || r == '\ufffe' || r == '\uffff':
			return line, column, fmt.Sprintf("%U", r)
		}
		column++
		data = data[size:]
	}
	return 0, 0, ""
}

var (
	opens  = lazyregexp.New(`(?:^\s*|: +|- +)(["'])`)
	begins = lazyregexp.New(`(?:\S[ \t]+|[\[{,])["']$`)
	blocks = lazyregexp.New(`(?:: +|- +)(?:[!&]\S+ +)*[|>][-+0-9]*\s*(?:#.*)?$`)
)

// quoteOver is where the first quoted value begins, up to line end, that lacks its quote at the end: the next one, on a later line, stands
// where another value begins. over is that line; 0 = there is none.
func quoteOver(data []byte, end int) (line, column, over int) {
	var (
		at    int  // line that is read
		quote byte // of the value that is open; 0 = none
		block = -1 // indentation of the key whose block of text is open; -1 = none
	)
	for text := range bytes.Lines(data) {
		if at++; at > end {
			break
		}
		if quote != 0 {
			i := closing(text, quote)
			if i < 0 {
				continue
			}
			if begins.MatchString(string(text[:i+1])) {
				return line, column, at
			}
			quote, text = 0, text[i+1:]
		} else {
			text = bytes.TrimRight(text, "\r\n")
			indent := len(text) - len(bytes.TrimLeft(text, " "))
			if block >= 0 && (indent > block || len(bytes.TrimSpace(text)) == 0) {
				continue
			}
			block = -1
			if bytes.HasPrefix(text[indent:], []byte("#")) {
				continue
			}
			if blocks.MatchString(string(text)) {
				block = indent
				continue
			}
		}
		for from := 0; ; {
			m := opens.FindStringSubmatchIndex(string(text[from:]))
			if m == nil {
				break
			}
			open := from + m[2]
			if i := closing(text[open+1:], text[open]); i >= 0 {
				from = open + 1 + i + 1
				continue
			}
			quote, line, column = text[open], at, utf8.RuneCount(text[:open])+1
			break
		}
	}
	return 0, 0, 0
}

// closing is where text ends a value that quote has begun; -1 = it does not.
func closing(text []byte, quote byte) int {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++ // stands for one
		case text[i] == quote:
			return i
		}
	}
	return -1
}
