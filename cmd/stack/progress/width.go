package progress

import (
	"unicode"

	"golang.org/x/text/width"
)

// columns is how many columns of a terminal s takes (Unicode Standard Annex #11).
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r < 0x300 { // nothing before has another width, or is no character of its own
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// truncate is s in at most n columns: an ellipsis stands for what does not fit.
func truncate(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	used, end := 0, 0
	for i, r := range s {
		if used+runeColumns(r) > n-1 {
			break
		}
		used += runeColumns(r)
		end = i + len(string(r))
	}
	if n <= 0 {
		return ""
	}
	return s[:end] + "…"
}
