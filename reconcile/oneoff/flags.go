package oneoff

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// parsePublish reads run's --publish, which is the short form of ports.
func parsePublish(text string) ([]plan.Port, error) {
	ports, err := spec.ParsePorts(text)
	if err != nil {
		return nil, fmt.Errorf("cannot publish %q: %w", text, errdefs.With(errdefs.ErrInvalidArgument, err))
	}
	return desire.Ports(ports), nil
}

// parseVolume reads run's --volume: [SOURCE:]TARGET[:OPTIONS]. The caller has made a host path absolute; a source without a
// slash is the name of a volume on the host.
func parseVolume(text string) (plan.Mount, error) {
	f := strings.Split(text, ":")
	m := plan.Mount{Type: "volume"}
	if len(f) > 1 && slices.Contains(f, "") { // of a shell's variable that is not set
		return m, fmt.Errorf("cannot mount %q: expected [SOURCE:]TARGET[:OPTIONS], and a part is empty: %w", text, errdefs.ErrInvalidArgument)
	}
	if n := len(f); n == 3 || n == 2 && (f[1] == "ro" || f[1] == "rw") {
		if unknown := m.SetOptions(f[n-1]); unknown != "" {
			return m, fmt.Errorf("cannot mount %q: the option %q is not known: expected ro, rw, nocopy, z, Z or a mode of propagation: %w", text, unknown, errdefs.ErrInvalidArgument)
		}
		f = f[:n-1]
	}
	switch len(f) {
	case 1:
		m.Target = f[0]
	case 2:
		m.Source, m.Target = f[0], f[1]
	default:
		return m, fmt.Errorf("cannot mount %q: expected [SOURCE:]TARGET[:OPTIONS]: %w", text, errdefs.ErrInvalidArgument)
	}
	if !path.IsAbs(m.Target) {
		return m, fmt.Errorf("cannot mount %q: the target %q is not absolute: %w", text, m.Target, errdefs.ErrInvalidArgument)
	}
	if m.Target = path.Clean(m.Target); m.Target == "/" {
		return m, fmt.Errorf("cannot mount %q: the target is the container's root: mount below it: %w", text, errdefs.ErrInvalidArgument)
	}
	if strings.HasPrefix(m.Source, "/") {
		m.Type, m.CreateHostPath = "bind", true
	} else if strings.Contains(m.Source, "/") {
		return m, fmt.Errorf("cannot mount %q: the source %q is neither an absolute path nor the name of a volume: %w", text, m.Source, errdefs.ErrInvalidArgument)
	}
	return m, nil
}
