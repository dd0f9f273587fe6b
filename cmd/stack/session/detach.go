package session

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// detachDefault are docker's keys: Ctrl-P, Ctrl-Q.
const detachDefault = "ctrl-p,ctrl-q"

// parseDetachKeys reads keys with commas between them: characters, and ctrl-a to ctrl-z, ctrl-@, ctrl-[, ctrl-\, ctrl-], ctrl-^ and ctrl-_.
func parseDetachKeys(text string) ([]byte, error) {
	var keys []byte
	for key := range strings.SplitSeq(text, ",") {
		name, control := strings.CutPrefix(key, "ctrl-")
		switch {
		case len(name) != 1:
			return nil, fmt.Errorf("invalid --detach-keys %q: %q is no key, expected one character, or ctrl- and one of a-z @ [ \\ ] ^ _", text, key)
		case !control:
			keys = append(keys, name[0])
		case name[0] >= 'a' && name[0] <= 'z':
			keys = append(keys, name[0]-'a'+1)
		case strings.Contains(`@[\]^_`, name):
			keys = append(keys, name[0]-'@')
		default:
			return nil, fmt.Errorf("invalid --detach-keys %q: there is no %s, expected ctrl- and one of a-z @ [ \\ ] ^ _", text, key)
		}
	}
	return keys, nil
}

// detachable is r until keys are typed; then detach is called, and it is at its end. What may be the beginning of keys waits for the next.
type detachable struct {
	r      io.Reader
	keys   []byte
	detach func()

	held  []byte // a beginning of keys
	ready []byte // to be read next
	end   error
}

func (d *detachable) Read(p []byte) (int, error) {
	for len(d.ready) == 0 {
		if d.end != nil {
			return 0, d.end
		}
		n, err := d.r.Read(p)
		d.take(p[:n])
		if err != nil && d.end == nil {
			d.ready, d.held, d.end = append(d.ready, d.held...), nil, err
		}
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

func (d *detachable) take(typed []byte) {
	for _, b := range typed {
		d.held = append(d.held, b)
		for !bytes.HasPrefix(d.keys, d.held) {
			d.ready = append(d.ready, d.held[0])
			d.held = d.held[1:]
		}
		if len(d.held) == len(d.keys) {
			d.held, d.end = nil, io.EOF
			d.detach()
			return
		}
	}
}
