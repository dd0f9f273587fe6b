package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// Args joins entrypoint and command of file and image. A file's entrypoint drops the image's command too: that
// was written for the image's entrypoint.
func Args(s *plan.Spec, image *v1.Config) ([]string, error) {
	entrypoint, command := image.Entrypoint, image.Cmd
	if s.Entrypoint != nil {
		entrypoint, command = s.Entrypoint, nil
	}
	if s.Command != nil {
		command = s.Command
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 {
		return nil, fmt.Errorf("neither the file nor image %s says what to run: set command: %w", s.Image, errdefs.ErrInvalidArgument)
	}
	return args, nil
}

// Env is the container's environment: the platform's defaults, then the image's in its order, then the file's by name.
// A name occurs once, where it was first set, with the value that was set last.
func Env(s *plan.Spec, image *v1.Config, hostname string) []string {
	env := []string{"PATH=" + runtime.DefaultPath, "HOSTNAME=" + hostname}
	if s.TTY {
		env = append(env, "TERM=xterm")
	}
	for _, kv := range image.Env {
		env = set(env, kv)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Environment)) {
		env = set(env, k+"="+s.Environment[k])
	}
	return env
}

func set(env []string, kv string) []string {
	name, _, _ := strings.Cut(kv, "=")
	i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	if i < 0 {
		return append(env, kv)
	}
	env[i] = kv
	return env
}

// Hostname of a container: the file's, else its short id.
func Hostname(s *plan.Spec, id string) string {
	if s.Hostname != "" {
		return s.Hostname
	}
	return id[:min(12, len(id))]
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
