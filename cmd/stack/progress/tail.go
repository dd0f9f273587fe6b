package progress

import "github.com/stackrun/stack/internal/plaintext"

// tailLines is how many lines of what a step of a build writes are shown below it, at most.
const tailLines = 6

// tail is the end of what the step of a build has written, without empty lines.
type tail struct {
	step  string
	lines []string
	part  plaintext.Lines
}

// write takes what step has written. What another step had written is gone with that.
func (t *tail) write(step string, text []byte) {
	if step != t.step {
		*t = tail{step: step}
	}
	t.part.Write(text, func(line string) {
		if line != "" {
			t.lines = append(t.lines, line)
		}
	})
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
}

// last are the last n lines, of which the last may not have ended.
func (t *tail) last(n int) []string {
	lines := t.lines
	if rest := t.part.Rest(); rest != "" {
		lines = append(lines[:len(lines):len(lines)], rest)
	}
	return lines[max(0, len(lines)-n):]
}
