package volume

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

const driverLocal = "local"

// options is what driver_opts of the local driver mean: nothing (a directory of ours), a
// directory of the host that the volume stands for, memory, or a file system.
type options struct {
	device string // the directory of the host; "" = a directory of ours
	fs     *filesystem
	ro     bool
	tmpfs  bool
	words  []string // of a tmpfs, tmpfs(5)
}

// parseOptions understands `type: none, o: bind, device: /path`, `type: tmpfs, o: size=…`, and what parseFilesystem does. A tmpfs is mounted by
// each container for itself, so it is for one; who makes containers sees to that (Single). Nothing is ever mounted on the host.
func parseOptions(c Config) (options, error) {
	refuse := func(format string, args ...any) (options, error) {
		return options{}, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf(format, args...))
	}
	if c.Driver != "" && c.Driver != driverLocal {
		return refuse("volume driver %q is not supported, only %q is", c.Driver, driverLocal)
	}
	if len(c.DriverOpts) == 0 {
		return options{}, nil
	}
	for _, key := range slices.Sorted(maps.Keys(c.DriverOpts)) {
		switch key {
		case "type", "o", "device":
		default:
			return refuse("driver option %q is not supported, expected type, o or device", key)
		}
	}
	kind, device := c.DriverOpts["type"], c.DriverOpts["device"]
	if kind == "" && device == "" && c.DriverOpts["o"] == "" {
		return options{}, nil // variables that are not set: docker's driver, too, mounts nothing without a type and a device
	}
	switch kind {
	case "", "none", "bind":
	case "tmpfs":
		o := options{tmpfs: true}
		for _, word := range strings.Split(c.DriverOpts["o"], ",") {
			switch word {
			case "", "rw":
			case "ro":
				o.ro = true
			default:
				o.words = append(o.words, word)
			}
		}
		return o, nil
	default:
		f, err := parseFilesystem(kind, device, c.DriverOpts["o"])
		if err != nil {
			return options{}, err
		}
		return options{fs: f, ro: f.readOnly()}, nil
	}
	o, bind := options{device: device}, kind == "bind"
	for _, word := range strings.Split(c.DriverOpts["o"], ",") {
		switch word {
		case "", "rw":
		case "bind", "rbind":
			bind = true
		case "ro":
			o.ro = true
		default:
			return refuse("driver option o %q is not supported without a type, expected bind, rbind, ro or rw", word)
		}
	}
	if !bind {
		return refuse("driver options without o: bind are not supported for a volume")
	}
	if !filepath.IsAbs(device) {
		return options{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("driver option device %q: expected an absolute path", device))
	}
	if filepath.Clean(device) == "/" {
		return options{}, errdefs.With(errdefs.ErrInvalidArgument, errors.New(`driver option device "/": the host's whole root cannot be a volume`))
	}
	o.device = filepath.Clean(device)
	return o, nil
}
