package plaintext

import "bytes"

// maxLine is how much of a line is kept, bytes: of a longer one its end.
const maxLine = 16 << 10

// Lines cuts what a program writes, in whatever pieces, into lines, each as Output has it. The zero value is ready.
type Lines struct{ part []byte }

// Write calls each for every line that has ended with b.
func (l *Lines) Write(b []byte, each func(line string)) {
	for {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		l.part = append(l.part, line...)
		l.part = l.part[max(0, len(l.part)-maxLine):]
		if !ended {
			return
		}
		each(l.Rest())
		l.part, b = l.part[:0], rest
	}
}

// Rest is what there is of a line that has not ended.
func (l *Lines) Rest() string { return Output(string(l.part)) }
