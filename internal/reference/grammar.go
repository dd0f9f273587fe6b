package reference

import "strings"

// The grammar of names and tags is https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests. It has regular expressions, which
// the tests compare with: to compile them was half of the memory that a command used for a file, and every command reads one.

// IsHost says whether s can be a registry: docker.io, localhost:5000, [::1]:5000.
func IsHost(s string) bool {
	var port string
	if address, ok := strings.CutPrefix(s, "["); ok {
		address, port, ok = strings.Cut(address, "]")
		if !ok || address == "" || !all(address, func(c byte) bool { return isHex(c) || c == ':' || c == '.' }) {
			return false
		}
	} else {
		name := s
		if i := strings.IndexByte(s, ':'); i >= 0 {
			name, port = s[:i], s[i:]
		}
		for label := range strings.SplitSeq(name, ".") {
			if label == "" || label[0] == '-' || label[len(label)-1] == '-' || !all(label, func(c byte) bool { return isAlphanumeric(c) || c == '-' }) {
				return false
			}
		}
	}
	if port == "" {
		return true
	}
	return port[0] == ':' && len(port) >= 2 && len(port) <= 6 && all(port[1:], isDigit)
}

// IsRepo says whether s can be a repository, or a part of its name before a slash.
func IsRepo(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent says whether s is words of small letters and digits, with a dot, one or two underscores or any number of dashes between two.
func isComponent(s string) bool {
	for {
		rest := strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz0123456789")
		switch {
		case len(rest) == len(s):
			return false
		case rest == "":
			return true
		case rest[0] == '-':
			s = strings.TrimLeft(rest, "-")
		case strings.HasPrefix(rest, "__"):
			s = rest[2:]
		case rest[0] == '_' || rest[0] == '.':
			s = rest[1:]
		default:
			return false
		}
	}
}

const maxTag = 128

func isTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && all(s, func(c byte) bool { return isAlphanumeric(c) || c == '_' || c == '.' || c == '-' })
}

func all(s string, is func(c byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isAlphanumeric(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }
