package message

import (
	"crypto/sha256"
	"encoding/hex"
)

// Definition is pb.Definition: a graph of operations. Of these only one that is a single source is understood here.
type Definition struct {
	// Source is the identifier of the only operation: docker-image://…, local://…; "" = there is another, or there are several, or none.
	Source string
	Any    bool // there are operations
}

func (d *Definition) read(b []byte) error {
	ops := 0
	source := ""
	err := each(b, func(f field) error {
		if f.Number != 1 {
			return nil
		}
		d.Any = true
		return each(f.bytes, func(f field) error { // pb.Op
			switch f.Number {
			case 1: // inputs: also of the last operation, which only names what the result is
			case 3: // SourceOp
				ops++
				return each(f.bytes, func(f field) error {
					if f.Number == 1 {
						source = f.string()
					}
					return nil
				})
			case 2, 4, 5, 6, 7, 8: // exec, file, build, merge, diff, passthrough
				ops += 2
			}
			return nil
		})
	})
	if ops == 1 {
		d.Source = source
	}
	return err
}

// definitionOf is one of that source. Its last operation names what the result is.
func definitionOf(source string) []byte {
	var src, first, input, last, e encoder
	src.string(1, source)
	first.message(3, src)
	input.string(1, digest(first))
	last.message(1, input)
	e.message(1, first)
	e.message(1, last)
	for _, op := range [][]byte{first, last} { // one without metadata is none for clients
		var meta encoder
		meta.string(1, digest(op))
		meta.message(2, nil)
		e.message(2, meta)
	}
	return e
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
