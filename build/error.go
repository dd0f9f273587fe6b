package build

import (
	"fmt"
	"path/filepath"
)

// Error is an error with its place in a Dockerfile.
type Error struct {
	File        string // "" = the text was given
	Line        int    // 0 = the whole file
	Instruction string // as it is written; "" = none
	Err         error
}

func (e *Error) Error() string {
	s := "Dockerfile"
	if e.File != "" {
		s = filepath.Base(e.File)
	}
	if e.Line > 0 {
		s += fmt.Sprintf(":%d", e.Line)
	}
	if e.Instruction != "" {
		s += ": " + e.Instruction
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
