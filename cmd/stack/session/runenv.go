package session

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/dotenv"
)

// runEnv is --env-from-file, then --env, which wins.
func runEnv(run *cli.Run, r runFlags) ([]string, error) {
	var (
		env   []string
		wrong diag.Collector
	)
	for _, path := range r.envFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read --env-from-file: %w", err)
		}
		entries, _, faults := dotenv.Parse(string(text), func(name string) (string, bool) { v, ok := run.Env[name]; return v, ok })
		for _, f := range faults {
			wrong.Add(&diag.Diagnostic{Code: spec.CodeEnvFile, Summary: "cannot use --env-from-file", Detail: f.Message,
				Subject: &diag.Range{Start: diag.Pos{File: path, Line: f.Line, Column: f.Column}}})
		}
		for _, e := range entries {
			env = append(env, e.Key+"="+e.Value)
		}
	}
	if wrong.HasErrors() {
		return nil, console.Faults(wrong.List())
	}
	return append(env, run.Env.Resolve(r.Env)...), nil
}

// splitWords splits as a shell does, with quotes and backslashes and nothing else.
func splitWords(s string) ([]string, error) {
	words := []string{}
	var word strings.Builder
	in, quote := false, rune(0)
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
