package logdriver

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// DaemonName is {{.DaemonName}} of a tag. It is docker's, by which receivers choose.
const DaemonName = "docker"

// fields are those of a tag that docker documents.
var fields = map[string]func(*Source) string{
	"ID":          func(s *Source) string { return short(s.ID) },
	"FullID":      func(s *Source) string { return s.ID },
	"Name":        func(s *Source) string { return s.Name },
	"ImageID":     func(s *Source) string { return short(strings.TrimPrefix(s.ImageID, "sha256:")) },
	"ImageFullID": func(s *Source) string { return s.ImageID },
	"ImageName":   func(s *Source) string { return s.ImageName },
	"DaemonName":  func(*Source) string { return DaemonName },
	"Command":     func(s *Source) string { return s.Command },
}

// short is what is shown of an id.
func short(id string) string { return id[:min(len(id), 12)] }

var attribute = lazyregexp.New(`^\(\s*\.ExtraAttributes\s+nil\s*\)\.([A-Za-z0-9_]+)$`)

// Tag is the tag of a container's messages: the option, or {{.ID}}. Precondition: the options are checked.
func Tag(options map[string]string, s *Source) string {
	text := options["tag"]
	if text == "" {
		text = "{{.ID}}"
	}
	extra := Attributes(options, s)
	out, _ := expand(text, func(field, key string) string {
		if key != "" {
			return extra[key]
		}
		return fields[field](s)
	})
	return out
}

// expand replaces what is in braces by what value says of a field, or of a key of the extra attributes.
func expand(text string, value func(field, key string) string) (string, error) {
	var out strings.Builder
	for {
		before, rest, open := strings.Cut(text, "{{")
		out.WriteString(before)
		if !open {
			return out.String(), nil
		}
		inner, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", fmt.Errorf("{{ has no }}")
		}
		action := strings.TrimSpace(inner)
		name, dotted := strings.CutPrefix(action, ".")
		key := attribute.FindStringSubmatch(action)
		switch {
		case dotted && fields[name] != nil:
			out.WriteString(value(name, ""))
		case key != nil:
			out.WriteString(value("", key[1]))
		default:
			return "", fmt.Errorf("{{%s}} is not a field of a tag: expected {{.%s}} or {{(.ExtraAttributes nil).KEY}}", inner, strings.Join(fieldNames, "}}, {{."))
		}
		text = after
	}
}

// fieldNames are those that docker's page on tags has, in its order, for messages.
var fieldNames = []string{"ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName"}

// Attributes are what the options labels, labels-regex, env and env-regex choose of a container. A variable wins over a label of its name. What has no name, which an image may
// have in either, is not chosen by any pattern: no receiver has a field for it.
func Attributes(options map[string]string, s *Source) map[string]string {
	out := map[string]string{}
	chosen := func(list, pattern string) func(string) bool {
		names := strings.FieldsFunc(options[list], func(r rune) bool { return r == ',' })
		var re *regexp.Regexp
		if p := options[pattern]; p != "" {
			re, _ = regexp.Compile(p) // checked
		}
		return func(name string) bool {
			return name != "" && (slices.Contains(names, name) || re != nil && re.MatchString(name))
		}
	}
	label := chosen("labels", "labels-regex")
	for k, v := range s.Labels {
		if label(k) {
			out[k] = v
		}
	}
	variable := chosen("env", "env-regex")
	for _, kv := range s.Env {
		if k, v, ok := strings.Cut(kv, "="); ok && variable(k) {
			out[k] = v
		}
	}
	return out
}
