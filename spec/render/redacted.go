package render

import (
	"bytes"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/redact"
)

// instead stands in YAML for what is hidden. It is a variable that must be set, so that no tool takes the text for the
// secret: a file that was shown and is loaded again fails, and says why.
const instead = "${HIDDEN:?use --show-secrets}"

// minSecret is how long the value of a secret variable must be to be looked for in other texts, bytes: a shorter one is
// in half of all words.
const minSecret = 5

// RedactedYAML is YAML for people: without values under telling names, passwords in URLs and assignments, and the values of
// env's variables of telling names wherever they are.
func RedactedYAML(w io.Writer, p *spec.Project, env map[string]string) error {
	var h hider
	for name, v := range env {
		// A path is no secret: SSH_AUTH_SOCK.
		if redact.Name(name) && len(v) >= minSecret && !strings.HasPrefix(v, "/") {
			h.secrets = append(h.secrets, v)
		}
	}
	return writeYAML(w, h.hide("", project(p)))
}

type hider struct{ secrets []string }

// hide is v, which stands under key, without secrets.
func (h hider) hide(key string, v value) value {
	switch v := v.(type) {
	case text:
		return h.text(key, v)
	case list:
		out := make(list, len(v))
		for i, e := range v {
			out[i] = h.hide("", e)
		}
		return out
	case object:
		return h.object(v)
	case capital:
		return capital(h.object(object(v)))
	case yamlOnly:
		return yamlOnly{h.hide(key, v.value)}
	case verbatim:
		return h.hide(key, v.tree())
	}
	return v
}

func (h hider) object(v object) object {
	out := make(object, len(v))
	for i, f := range v {
		out[i] = field{f.key, h.hide(f.key, f.value)}
	}
	return out
}

func (h hider) text(key string, v text) value {
	s := string(v)
	switch {
	case s == "":
		return v
	case redact.Label(key):
		return concealed(redact.Hidden)
	}
	for _, secret := range h.secrets {
		s = strings.ReplaceAll(s, secret, redact.Hidden)
	}
	if s = redact.Text(s); s == string(v) {
		return v
	}
	return concealed(s)
}

// concealed is a text in which redact.Hidden stands for what is not shown.
type concealed string

func (v concealed) yaml() *yaml.Node {
	n := &yaml.Node{}
	n.SetString(strings.ReplaceAll(interp.Escape(string(v)), redact.Hidden, instead))
	return n
}

func (v concealed) json(b *bytes.Buffer) { text(v).json(b) }
