package network

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

const sysctlRoot = "/proc/sys/"

// sysctl is a setting that a network needs, name in path form.
type sysctl struct {
	name, value string
	optional    bool // a kernel without it needs it not
}

// writeSysctls sets all.
func writeSysctls(all []sysctl) error {
	for _, s := range all {
		if err := writeSysctl(s.name, s.value); err != nil && !(s.optional && errors.Is(err, unix.ENOENT)) {
			return err
		}
	}
	return nil
}

// sysctlProblem says which of all the host does not have as it is to be.
func (v sight) sysctlProblem(all []sysctl) string {
	for _, s := range all {
		got, ok := v.sysctls[s.name]
		if ok && got != s.value || !ok && !s.optional {
			return fmt.Sprintf("sysctl %s is %s, set was %s", strings.ReplaceAll(s.name, "/", "."), cmp.Or(got, "gone"), s.value)
		}
	}
	return ""
}

// writeSysctl sets name, in path form (net/ipv4/ip_forward), for the calling thread's network namespace.
func writeSysctl(name, value string) error {
	// O_WRONLY without O_CREATE: /proc would say EPERM or ENOENT, and neither names the key.
	f, err := os.OpenFile(sysctlRoot+name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot set sysctl %s = %s: %w", strings.ReplaceAll(name, "/", "."), value, err)
	}
	return nil
}

// sysctlPath turns a user's key into its path below /proc/sys. As sysctl(8) does, the first separator decides: with
// "/" first, dots are part of names (net/ipv4/conf/eth0.100/forwarding).
func sysctlPath(key string) (string, error) {
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

// hostSysctls are settings of the host's own that networks need. The old value is recorded before the first change and
// put back when the last network is gone.
type hostSysctls struct {
	path string

	mu  sync.Mutex
	was map[string]setting
}

type setting struct{ Old, New string }

// load reads what a predecessor changed.
func (h *hostSysctls) load() error {
	h.was = map[string]setting{}
	b, err := os.ReadFile(h.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the changed sysctls: %w", err)
	}
	if err := json.Unmarshal(b, &h.was); err != nil {
		return fmt.Errorf("cannot read the changed sysctls in %s: %w", h.path, err)
	}
	return nil
}

// need sets name to value unless it has it.
func (h *hostSysctls) need(name, value string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := os.ReadFile(sysctlRoot + name)
	if err != nil {
		return fmt.Errorf("cannot read sysctl %s: %w", strings.ReplaceAll(name, "/", "."), err)
	}
	old := strings.TrimSpace(string(b))
	if old == value {
		return nil
	}
	if _, changed := h.was[name]; !changed {
		h.was[name] = setting{old, value}
		if err := write(h.path, h.was); err != nil {
			delete(h.was, name)
			return err
		}
	}
	return writeSysctl(name, value)
}

// restore puts everything back that still has the value we gave it.
func (h *hostSysctls) restore() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for name, s := range h.was {
		b, err := os.ReadFile(sysctlRoot + name)
		if err == nil && strings.TrimSpace(string(b)) == s.New {
			err = writeSysctl(name, s.Old)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // an interface may have gone
			errs = append(errs, err)
			continue
		}
		delete(h.was, name)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return remove(h.path)
}

// InterfaceSysctls reads docker's com.docker.network.endpoint.sysctls: net.X.Y.IFNAME.Z=V, several with commas between, where IFNAME is the interface whatever its name. Pure.
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

// setSysctls sets those of ep's interface, in the namespace of the calling thread. A name with a dot in it is one path element.
func (ep Endpoint) setSysctls() error {
	for _, key := range slices.Sorted(maps.Keys(ep.Sysctls)) {
		part := strings.Split(key, ".")
		part[3] = ep.Interface
		if err := writeSysctl(strings.Join(part, "/"), ep.Sysctls[key]); err != nil {
			return err
		}
	}
	return nil
}
