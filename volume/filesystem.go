package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// filesystem is what driver_opts say of a volume that is a file system of a device or of another machine: what mount(8) would make of
// `mount -t TYPE -o O DEVICE`.
type filesystem struct {
	kind   string
	device string
	words  []string // of the mount: nosuid, noexec, …
	data   []string // of the file system
	server string   // whose address data are to have, "" = it is there
}

// elsewhere are file systems whose device is no block device. One that is exclusive has one mount at a time: a second is another file system, or
// refused.
var elsewhere = map[string]struct{ network, exclusive bool }{
	"nfs": {network: true}, "nfs4": {network: true}, "cifs": {network: true}, "smb3": {network: true}, "ceph": {}, "virtiofs": {},
	"9p": {exclusive: true}, "overlay": {exclusive: true},
}

// kernels are file systems that show the kernel and hold nothing.
var kernels = []string{"proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "pstore", "binfmt_misc", "efivarfs", "fusectl", "selinuxfs", "rpc_pipefs", "hugetlbfs"}

// mountWords are those words of mount(8) that are of a mount and not of what is mounted.
var mountWords = []string{"suid", "nosuid", "dev", "nodev", "exec", "noexec", "atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "symfollow", "nosymfollow"}

// parseFilesystem reads `type: nfs, o: addr=…, device: :/export`, `type: ext4, device: /dev/…` and their like.
func parseFilesystem(kind, device, list string) (*filesystem, error) {
	invalid := func(format string, args ...any) (*filesystem, error) {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
	}
	switch {
	case slices.Contains(kernels, kind):
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("driver option type %q: it is the kernel's own and holds no data (use a bind)", kind))
	case kind == "ramfs" || kind == "fuse" || strings.HasPrefix(kind, "fuse."):
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("driver option type %q is not supported for a volume (use tmpfs for memory; what a program of yours serves, mount on the host and use a bind)", kind))
	case device == "":
		return invalid("driver options have type %s and no device", kind)
	}
	f := &filesystem{kind: kind, device: device}
	dev := false
	for _, word := range strings.Split(list, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case word == "" || word == "rw" || word == "defaults":
		case word == "ro":
			f.words, f.data = append(f.words, word), append(f.data, word)
		case slices.Contains(mountWords, word):
			dev = dev || word == "dev"
			f.words = append(f.words, word)
		case word == "loop" || key == "loop":
			return invalid("driver option o %q is a word of the program mount: make the file a device with losetup, and name that", word)
		case slices.Contains([]string{"bind", "rbind", "move", "remount", "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"}, word):
			return invalid("driver option o %q does not go with type %s", word, kind)
		case elsewhere[kind].network && (key == "addr" || key == "ip") && value != "":
			if _, err := netip.ParseAddr(value); err != nil {
				f.server = value
			}
			f.data = append(f.data, "addr="+value)
		default:
			f.data = append(f.data, word)
		}
	}
	if !dev {
		// As of all volumes: device nodes that somebody makes there open nothing, in whichever container they turn up.
		f.words = append(f.words, "nodev")
	}
	if elsewhere[kind].network {
		if err := f.readServer(); err != nil {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, err)
		}
	}
	return f, nil
}

// readServer finds the server in the device where the options do not name it, which mount.nfs(8) and mount.cifs(8) do for the kernel.
func (f *filesystem) readServer() error {
	host := ""
	switch f.kind {
	case "nfs", "nfs4":
		i := strings.Index(f.device, ":/")
		if i < 0 {
			return fmt.Errorf("driver option device %q: expected SERVER:/PATH, or :/PATH with o: addr=SERVER", f.device)
		}
		host = strings.Trim(f.device[:i], "[]")
	default:
		u, err := url.Parse(strings.ReplaceAll(f.device, `\`, "/"))
		if err != nil || u.Host == "" && !f.hasAddress() {
			return fmt.Errorf("driver option device %q: expected //SERVER/SHARE", f.device)
		}
		if u.Port() != "" {
			return fmt.Errorf("driver option device %q: a port goes into o: port=%s", f.device, u.Port())
		}
		host = u.Hostname()
	}
	if f.hasAddress() {
		return nil
	}
	if host == "" {
		return fmt.Errorf("driver options name no server: write it in device, or o: addr=SERVER")
	}
	if _, err := netip.ParseAddr(host); err != nil {
		f.server = host
	}
	f.data = append(f.data, "addr="+host)
	return nil
}

func (f *filesystem) hasAddress() bool {
	return slices.ContainsFunc(f.data, func(w string) bool { return strings.HasPrefix(w, "addr=") })
}

func (f *filesystem) readOnly() bool { return slices.Contains(f.data, "ro") }

// check looks whether the device is one.
func (f *filesystem) check() error {
	if _, ok := elsewhere[f.kind]; ok {
		return nil
	}
	st, err := os.Stat(f.device)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode()&fs.ModeType != fs.ModeDevice:
		why := "it is not there"
		if err == nil {
			why = "it is no block device, which a file system of type " + f.kind + " is on (of a file losetup makes one)"
		}
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("driver option device %q: %s", f.device, why))
	case err != nil:
		return fmt.Errorf("its device: %w", err)
	}
	return nil
}
