package catalog

import (
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

var hexPattern = lazyregexp.New(`^[0-9a-f]+$`)

// minIDPrefix keeps short names that happen to be hex digits, like "db", from meaning an image id.
const minIDPrefix = 4

// IDPrefix returns the hex digits when s can be an image id: sha256:<hex>, or at least minIDPrefix of its digits.
func IDPrefix(s string) (hex string, explicit, ok bool) {
	hex, explicit = strings.CutPrefix(s, "sha256:")
	if len(hex) < minIDPrefix || len(hex) > 64 || !hexPattern.MatchString(hex) {
		return "", false, false
	}
	return hex, explicit, true
}
