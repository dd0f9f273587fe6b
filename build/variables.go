package build

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// variables are what a word of a Dockerfile can name: a list of NAME=value, of which the latest of a name counts, in the place of the first.
type variables struct{ list []string }

func (v *variables) Get(name string) (string, bool) {
	for _, kv := range slices.Backward(v.list) {
		if k, value, _ := strings.Cut(kv, "="); k == name {
			return value, true
		}
	}
	return "", false
}

func (v *variables) Keys() []string {
	keys := make([]string, len(v.list))
	for i, kv := range v.list {
		keys[i], _, _ = strings.Cut(kv, "=")
	}
	return keys
}

func (v *variables) set(name, value string) {
	v.list = setVariable(v.list, name, value)
}

// setVariable does not change what list points to.
func setVariable(list []string, name, value string) []string {
	list = slices.Clone(list)
	for i, kv := range list {
		if k, _, _ := strings.Cut(kv, "="); k == name {
			list[i] = name + "=" + value
			return list
		}
	}
	return append(list, name+"="+value)
}

// predefined can be given without an ARG; commands see them, keys and histories do not.
// https://docs.docker.com/reference/dockerfile/#predefined-args
var predefined = []string{
	"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy",
}

// proxies are those of args, sorted.
func proxies(args map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if slices.Contains(predefined, name) {
			list = append(list, name+"="+args[name])
		}
	}
	return list
}

// platformArgs are the automatic ones of the global scope.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
func platformArgs(p v1.Platform, target string) map[string]string {
	variant := p.Variant
	// As docker has it, the usual variant of an architecture is not said.
	if p.Architecture == "amd64" || p.Architecture == "arm64" && variant == "v8" {
		variant = ""
	}
	name := p.OS + "/" + p.Architecture
	if variant != "" {
		name += "/" + variant
	}
	if target == "" {
		target = "default"
	}
	return map[string]string{
		"BUILDPLATFORM": name, "BUILDOS": p.OS, "BUILDARCH": p.Architecture, "BUILDVARIANT": variant,
		"TARGETPLATFORM": name, "TARGETOS": p.OS, "TARGETARCH": p.Architecture, "TARGETVARIANT": variant,
		"TARGETSTAGE": target,
	}
}

// expander expands words of one Dockerfile. It is not for concurrent use.
type expander struct{ lex *shell.Lex }

func newExpander(escape rune) *expander { return &expander{shell.NewLex(escape)} }

func (e *expander) word(word string, v shell.EnvGetter) (string, error) {
	out, _, err := e.lex.ProcessWord(word, v)
	return out, err
}

func (e *expander) words(word string, v shell.EnvGetter) ([]string, error) {
	return e.lex.ProcessWords(word, v)
}

// document expands the text of a here-document, in which quotes mean nothing.
func (e *expander) document(text string, v shell.EnvGetter) (string, error) {
	lex := shell.NewLex('\\')
	lex.SkipProcessQuotes = true
	out, _, err := lex.ProcessWord(text, v)
	return out, err
}
