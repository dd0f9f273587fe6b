package build

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/stackrun/stack/internal/errdefs"
)

// changeable are the instructions that change nothing but a configuration: docker's list.
// https://docs.docker.com/reference/cli/docker/container/commit/
var changeable = []string{"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}

// Change gives conf what the instructions of a Dockerfile say, of those that change nothing but a configuration. It has no history of its own.
// errdefs.ErrInvalidArgument names the one that cannot be carried out; conf is as it was then.
func Change(conf *v1.Config, changes []string) (err error) {
	st := from(&v1.ConfigFile{Config: *conf.DeepCopy()})
	for _, text := range changes {
		if err := st.change(text); err != nil {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot change the configuration by %q: %w", text, err))
		}
	}
	*conf = st.conf.Config
	return nil
}

func (s *state) change(text string) (err error) {
	defer func() {
		// The parser is another project's.
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if len(text) > maxDockerfile {
		return fmt.Errorf("it is larger than %d MiB", maxDockerfile>>20)
	}
	tree, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return err
	}
	words := newExpander(tree.EscapeToken)
	for _, node := range tree.AST.Children {
		if !slices.Contains(changeable, strings.ToUpper(node.Value)) {
			return fmt.Errorf("expected one of %s", strings.Join(changeable, ", "))
		}
		c, err := instructions.ParseCommand(node)
		if err != nil {
			return err
		}
		if c, ok := c.(instructions.SupportsSingleWordExpansion); ok {
			if err := c.Expand(func(word string) (string, error) { return words.word(word, &s.scope) }); err != nil {
				return err
			}
		}
		if c, ok := c.(*instructions.WorkdirCommand); ok {
			s.conf.Config.WorkingDir = s.workdir(c.Path)
			continue
		}
		if known, err := s.configure(c, words); err != nil || !known {
			return err
		}
	}
	return nil
}
