package build

import (
	"fmt"
	"strconv"
	"strings"
)

// chmod changes the mode of what is copied; a nil one leaves it.
type chmod func(mode uint32, dir bool) uint32

func (c chmod) apply(mode uint32, dir bool) uint32 {
	if c == nil {
		return mode
	}
	return c(mode, dir)
}

// parseChmod reads what chmod(1) takes: an octal number, or u=rwX,go+r.
func parseChmod(s string) (chmod, error) {
	if s == "" {
		return nil, nil
	}
	if n, err := strconv.ParseUint(s, 8, 32); err == nil && n <= 0o7777 {
		return func(uint32, bool) uint32 { return uint32(n) }, nil
	}
	var steps []chmod
	for clause := range strings.SplitSeq(s, ",") {
		step, err := parseClause(clause)
		if err != nil {
			return nil, fmt.Errorf("--chmod=%s: %w; expected an octal number up to 7777 or clauses such as u=rwX,go=r", s, err)
		}
		steps = append(steps, step...)
	}
	return func(mode uint32, dir bool) uint32 {
		for _, step := range steps {
			mode = step(mode, dir)
		}
		return mode
	}, nil
}

// parseClause reads [ugoa]*([+-=][rwxXst]*)+.
func parseClause(clause string) ([]chmod, error) {
	i := 0
	var who uint32
	for ; i < len(clause) && strings.IndexByte("ugoa", clause[i]) >= 0; i++ {
		who |= map[byte]uint32{'u': 0o4700, 'g': 0o2070, 'o': 0o1007, 'a': 0o7777}[clause[i]]
	}
	if who == 0 {
		who = 0o7777
	}
	if i == len(clause) {
		return nil, fmt.Errorf("%q has no operator", clause)
	}
	var steps []chmod
	for i < len(clause) {
		op := clause[i]
		if op != '+' && op != '-' && op != '=' {
			return nil, fmt.Errorf("%q is no operator", op)
		}
		i++
		var bits uint32
		special := false // X
		for ; i < len(clause) && strings.IndexByte("+-=", clause[i]) < 0; i++ {
			switch clause[i] {
			case 'r':
				bits |= 0o444
			case 'w':
				bits |= 0o222
			case 'x':
				bits |= 0o111
			case 'X':
				special = true
			case 's':
				bits |= 0o6000
			case 't':
				bits |= 0o1000
			default:
				return nil, fmt.Errorf("%q is no permission", clause[i])
			}
		}
		steps = append(steps, func(mode uint32, dir bool) uint32 {
			b := bits
			if special && (dir || mode&0o111 != 0) {
				b |= 0o111
			}
			b &= who
			switch op {
			case '+':
				return mode | b
			case '-':
				return mode &^ b
			}
			keep := ^who
			if dir { // as chmod(1): = does not take these from a directory
				keep |= 0o6000
			}
			return mode&keep | b
		})
	}
	return steps, nil
}
