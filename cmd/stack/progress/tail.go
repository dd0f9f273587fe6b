package progress

import (
	"bytes"
	"strings"
)

// tailLines is how many lines of what a step of a build writes are shown below it, at most.
const tailLines = 6

// tail is the end of what the step of a build has written, as a terminal would show it: what follows a carriage return replaces its line.
type tail struct {
	step  string
	lines []string // that have ended, without their control characters
	part  []byte   // of one that has not, at most maxLine bytes
}

// write takes what step has written. What another step had written is gone with that.
func (t *tail) write(step string, text []byte) {
	if step != t.step {
		*t = tail{step: step}
	}
	for {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		t.part = append(t.part, line...)
		if !ended {
			break
		}
		if s := visible(t.part); s != "" {
			t.lines = append(t.lines, s)
		}
		t.part, text = t.part[:0], rest
	}
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
	t.part = t.part[max(0, len(t.part)-maxLine):]
}

// last are the last n lines, of which the last may not have ended.
func (t *tail) last(n int) []string {
	lines := t.lines
	if s := visible(t.part); s != "" {
		lines = append(lines[:len(lines):len(lines)], s)
	}
	return lines[max(0, len(lines)-n):]
}

// visible is what is seen of a line in the end.
func visible(line []byte) string {
	line = bytes.TrimRight(line, "\r")
	line = line[bytes.LastIndexByte(line, '\r')+1:]
	return strings.TrimRight(clean(string(line)), " ")
}
