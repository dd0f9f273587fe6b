package logview

import "bytes"

// controls takes the control strings out of one line: OSC (the title, the clipboard, links), DCS, SOS, PM and APC of
// ECMA-48 §5.6, each up to its end or the line's. Colours and all other sequences stay. It is a state because a long line
// comes in parts; the zero value is the start of a line.
type controls struct {
	state controlState
	rest  int // bytes that the UTF-8 character still has
}

type controlState uint8

const (
	inText controlState = iota
	afterEscape
	inString
	afterC2 // 0xc2: a C1 control in UTF-8 may follow
)

const (
	bell   = 0x07 // ends an OSC in every terminal
	cancel = 0x18
	subst  = 0x1a // as cancel: ends any sequence
	escape = 0x1b
	c1ST   = 0x9c // string terminator, as one byte
	del    = 0x7f // a terminal takes no notice of it inside a sequence
)

// filter appends line to to without control strings. An escape is held until it is known what it begins.
func (c *controls) filter(to *bytes.Buffer, line []byte) {
	for _, b := range line {
		switch c.state {
		case afterEscape:
			c.escaped(to, b)
		case inString:
			switch b {
			case escape:
				c.state = afterEscape // a backslash makes it the end; anything else ends the string too
			case bell, cancel, subst:
				c.state = inText
			case c1ST: // alone, or as UTF-8 after 0xc2
				c.state = inText
			}
		case afterC2:
			c.state = inText
			if opensString(b) {
				c.state = inString
				continue
			}
			to.WriteByte(0xc2)
			if b >= 0x80 && b < 0xc0 {
				to.WriteByte(b)
			} else {
				c.text(to, b)
			}
		default:
			c.text(to, b)
		}
	}
}

func (c *controls) text(to *bytes.Buffer, b byte) {
	switch {
	case c.rest > 0 && b >= 0x80 && b < 0xc0:
		c.rest--
		to.WriteByte(b)
		return
	case b == escape:
		c.state = afterEscape
	case b == 0xc2:
		c.state = afterC2
	case opensString(b): // no part of a character: a terminal without UTF-8 takes it for the control
		c.state = inString
	default:
		to.WriteByte(b)
	}
	c.rest = 0
	switch {
	case b >= 0xf0:
		c.rest = 3
	case b >= 0xe0:
		c.rest = 2
	case b > 0xc2:
		c.rest = 1
	}
}

// escaped is a byte after an escape.
func (c *controls) escaped(to *bytes.Buffer, b byte) {
	switch {
	case opensString(b + 0x40): // ESC P, X, ], ^ and _ are C1 controls in 7 bits
		c.state = inString
	case b == escape:
	case b == cancel, b == subst:
		c.state = inText
		to.WriteByte(b)
	case b < 0x20, b == del: // done at once, and the sequence goes on
		to.WriteByte(b)
	case b == '\\': // ends a string that is not there any more
		c.state = inText
	case b >= 0x80: // no escape sequence has it
		c.state = inText
		c.text(to, b)
	default:
		c.state = inText
		to.WriteByte(escape)
		to.WriteByte(b)
	}
}

// opensString says whether the C1 control b begins a string: DCS, SOS, OSC, PM or APC.
func opensString(b byte) bool {
	switch b {
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f:
		return true
	}
	return false
}
