// Package sysctl writes settings of network namespaces, below /proc/sys/net, and puts back what was changed of the host's own.
package sysctl

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is where the settings of the calling thread's namespace are.
const Root = "/proc/sys/"

// Setting is one that a network needs, Name in path form: net/ipv4/ip_forward.
type Setting struct {
	Name, Value string
	Optional    bool // a kernel without it needs it not
}

// WriteAll sets all.
func WriteAll(all []Setting) error {
	for _, s := range all {
		if err := Write(s.Name, s.Value); err != nil && !(s.Optional && errors.Is(err, unix.ENOENT)) {
			return err
		}
	}
	return nil
}

// Problem says which of all is not as it is to be; have is what there is, without what is not there. Pure.
func Problem(all []Setting, have map[string]string) string {
	for _, s := range all {
		got, ok := have[s.Name]
		if ok && got != s.Value || !ok && !s.Optional {
			return fmt.Sprintf("sysctl %s is %s, set was %s", strings.ReplaceAll(s.Name, "/", "."), cmp.Or(got, "gone"), s.Value)
		}
	}
	return ""
}

// Write sets name, in path form, for the calling thread's network namespace.
func Write(name, value string) error {
	// O_WRONLY without O_CREATE: /proc would say EPERM or ENOENT, and neither names the key.
	f, err := os.OpenFile(Root+name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot set sysctl %s = %s: %w", strings.ReplaceAll(name, "/", "."), value, err)
	}
	return nil
}
