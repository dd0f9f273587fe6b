package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/basespec"
)

// Args joins entrypoint and command of file and image as dockerd does (daemon/commit.go, merge). A file's entrypoint with
// words drops the image's command: that was written for the image's entrypoint. An empty one drops the image's
// entrypoint only. An empty command is no command: the specification lets it drop the image's, docker compose
// never has, and files rely on it: command: ${EXTRA:-}.
func Args(s *plan.Spec, image *v1.Config) ([]string, error) {
	entrypoint, command := image.Entrypoint, s.Command
	if s.Entrypoint != nil {
		entrypoint = s.Entrypoint
	}
	if len(command) == 0 && len(s.Entrypoint) == 0 {
		command = image.Cmd
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 {
		return nil, fmt.Errorf("neither the file nor image %s says what to run: set command: %w", s.Image, errdefs.ErrInvalidArgument)
	}
	return args, nil
}

// environment is the container's environment: the platform's defaults, then the image's in its order, then the file's by name.
// A name occurs once, where it was first set, with the value that was set last; what the file unsets does not occur.
func environment(s *plan.Spec, image *v1.Config, hostname string) []string {
	env := []string{"PATH=" + basespec.Path, "HOSTNAME=" + hostname}
	if s.TTY {
		env = append(env, "TERM=xterm")
	}
	for _, kv := range image.Env {
		env = set(env, kv)
	}
	env = slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(s.Unset, name)
	})
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

// hostnameOf a container: the file's, on the host's network the host's, as with docker, else its short id.
func hostnameOf(in *Input) string {
	short := objectid.Short(in.ID)
	if in.Spec.NetworkMode == "host" {
		return firstOf(in.Spec.Hostname, in.Hostname, short)
	}
	return firstOf(in.Spec.Hostname, short)
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
