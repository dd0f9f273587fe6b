package definition

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// SysctlPath turns a user's key of a setting of a network namespace into its path below /proc/sys. As sysctl(8) does, the first separator decides: with
// "/" first, dots are part of names (net/ipv4/conf/eth0.100/forwarding).
func SysctlPath(key string) (string, error) {
	path := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		path = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	if !strings.HasPrefix(path, "net/") || filepath.Clean(path) != path || strings.Contains(path, "..") {
		return "", errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot set sysctl %q: expected a name below net.", key))
	}
	return path, nil
}

// InterfaceSysctls reads docker's com.docker.network.endpoint.sysctls: net.X.Y.IFNAME.Z=V, several with commas between, where IFNAME is the interface whatever its name.
func InterfaceSysctls(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	all := map[string]string{}
	for one := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		part := strings.Split(key, ".")
		if !ok || len(part) != 5 || part[0] != "net" || part[3] != "IFNAME" || strings.Contains(key, "/") || slices.Contains(part, "") {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot set sysctl %q of an interface: expected net.X.Y.IFNAME.Z=VALUE, such as net.ipv4.conf.IFNAME.log_martians=1", one))
		}
		all[key] = value
	}
	return all, nil
}
