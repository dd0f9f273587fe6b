package containers

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/stackrun/stack/cmd/stack/terminal"
)

// frames shows one text after another: each in place of the one before on a terminal, else below it.
type frames struct {
	out   io.Writer
	on    *terminal.Terminal // nil = below
	drawn []int              // columns of each line of the one before
}

// show shows what render writes. Where it stands below others, only if it says something.
func (f *frames) show(render func(*bytes.Buffer) error, saying bool) error {
	var b bytes.Buffer
	if err := render(&b); err != nil {
		return err
	}
	if f.on == nil {
		if !saying {
			return nil
		}
		_, err := f.out.Write(b.Bytes())
		return err
	}
	rows, cols, ok := f.on.Size()
	if !ok {
		rows, cols = 24, 80
	}
	text, drawn := frame(b.String(), f.drawn, rows, cols)
	f.drawn = drawn
	_, err := io.WriteString(f.out, text) // as one, so that nothing flickers
	return err
}

// frame is text in place of the lines above the cursor that were drawn, cut to a terminal of rows and cols, and how many columns each of its lines has. A
// terminal that became narrower has wrapped what was drawn.
func frame(text string, drawn []int, rows, cols int) (string, []int) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if most := max(1, rows-1); len(lines) > most { // the cursor stands below
		more := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("… and %d more", more))
	}
	up := 0
	for _, n := range drawn {
		up += max(1, (n+cols-1)/cols)
	}
	var b strings.Builder
	if up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", min(up, max(1, rows-1)))
	}
	b.WriteString("\r\x1b[J")
	widths := make([]int, len(lines))
	for i, l := range lines {
		r := []rune(l)
		widths[i] = min(len(r), cols)
		b.WriteString(string(r[:widths[i]]) + "\n")
	}
	return b.String(), widths
}
