package spec

import (
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/lazyregexp"
)

var (
	// keyName is what a service, network, volume, config, secret or model may be called: compose-spec.json, patternProperties.
	keyName = lazyregexp.New(`^[a-zA-Z0-9._-]+$`)
	// containerName is docker's.
	containerName = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	// containerNameWithin is the same as it stands in compose-spec's schema, without anchors.
	containerNameWithin = lazyregexp.New(`[a-zA-Z0-9][a-zA-Z0-9_.-]+`)
)

// projectName is what a project may be called: the specification's, of the length of a file's name with something to spare.
var projectName = lazyregexp.New(`^[a-z0-9][a-z0-9_-]{0,127}$`)

// CheckProjectName says whether name is one that a project may have, whoever gives it. The error is ErrInvalidArgument.
func CheckProjectName(name string) error {
	switch {
	case projectName.MatchString(name):
		return nil
	case NormalName(name) == name && name != "":
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid project name %q: it has %d characters, and 128 are possible; another is given with -p, or with a top-level name", name, len(name)))
	}
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid project name %q: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number", name))
}

// CheckNames says whether the names of p are such as Load gives: they become names of files, and p may have come from somebody
// who did not load it. The error is ErrInvalidArgument.
func CheckNames(p *Project) error {
	bad := func(format string, args ...any) error {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the project: "+format, args...))
	}
	for _, services := range []map[string]*Service{p.Services, p.Inactive} {
		for key, s := range services {
			switch {
			case !keyName.MatchString(key):
				return bad("%q is not the name of a service", key)
			case s == nil:
				return bad("service %q is empty", key)
			case s.Name != key:
				return bad("service %q calls itself %q", key, s.Name)
			case s.ContainerName != "" && CheckContainerName(s.ContainerName) != nil:
				return bad("service %q: %w", key, CheckContainerName(s.ContainerName))
			}
		}
	}
	if err := checkKeysOf("network", p.Networks); err != nil {
		return bad("%w", err)
	}
	if err := checkKeysOf("volume", p.Volumes); err != nil {
		return bad("%w", err)
	}
	if err := checkKeysOf("config", p.Configs); err != nil {
		return bad("%w", err)
	}
	if err := checkKeysOf("secret", p.Secrets); err != nil {
		return bad("%w", err)
	}
	return nil
}

func checkKeysOf[T any](what string, m map[string]*T) error {
	for key, v := range m {
		if !keyName.MatchString(key) {
			return fmt.Errorf("%q is not the name of a %s", key, what)
		}
		if v == nil {
			return fmt.Errorf("%s %q is empty", what, key)
		}
	}
	return nil
}

// CheckContainerName says whether a container may be called name.
func CheckContainerName(name string) error {
	if !containerName.MatchString(name) {
		return errdefs.With(errdefs.ErrInvalidArgument,
			fmt.Errorf("%q is not the name of a container: use two or more letters, digits, _ . and -, starting with a letter or digit", name))
	}
	return nil
}
