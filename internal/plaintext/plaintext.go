// Package plaintext takes out of text what a terminal would act on. What programs, images, registries and files say must not move the cursor of whoever
// reads it, nor change colours that are not its own.
package plaintext

import (
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// escapes are the sequences of a terminal: control sequences (ECMA-48, section 5.4), operating system commands, and those of two or three bytes.
var escapes = lazyregexp.New(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])`)

// OneLine is s in one line: line ends and tabs are spaces, escape sequences and other control characters are gone.
func OneLine(s string) string {
	if strings.IndexByte(s, '\x1b') >= 0 {
		s = escapes.ReplaceAllString(s, "")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, s)
}

// Output is what a terminal shows in the end of what a program has written: as OneLine, line by line, and what follows a carriage return
// has taken the place of what stood in its line. What is no UTF-8 is U+FFFD.
func Output(s string) string {
	lines := strings.Split(strings.ToValidUTF8(s, "\ufffd"), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		lines[i] = strings.TrimRight(OneLine(line[strings.LastIndexByte(line, '\r')+1:]), " ")
	}
	return strings.Join(lines, "\n")
}
