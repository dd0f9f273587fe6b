// Package objectid makes up, and shortens, ids of containers, networks and what else docker's clients know by 64 hexadecimal digits.
package objectid

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// shortLen is how many digits of an id people are shown and type, and how many are the host name of a container.
const shortLen = 12

// New is an id: 64 lower case hexadecimal digits, of which no two are the same. One of its first shortLen is a
// letter: a host name of decimal digits alone is a number to resolvers, which look it up nowhere
// (gethostbyname(3), inet_aton(3)), so one container of 281 could not find itself.
func New() string {
	for {
		if id := next(); !decimal(Short(id)) {
			return id
		}
	}
}

// Short is the beginning of id that people are shown. What is shorter stays as it is.
func Short(id string) string { return id[:min(shortLen, len(id))] }

func next() string {
	var b [32]byte
	rand.Read(b[:]) // never fails, Go 1.24
	return hex.EncodeToString(b[:])
}

func decimal(s string) bool { return strings.Trim(s, "0123456789") == "" }
