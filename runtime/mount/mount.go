// Package mount is the word that image, volume and runtime share: a value that
// says what is to be mounted where in a container. Components either emit
// mounts (image, volume) or consume them (runtime/boot, in the monitor too); nobody else calls
// mount(2) for a container.
package mount

import "slices"

// Mount is fstab in spirit, a superset of the OCI runtime-spec's mount:
// https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#mounts
type Mount struct {
	Type    string   `json:"type"`             // bind, overlay, tmpfs, proc, ext4, nfs, …
	Source  string   `json:"source,omitempty"` // host path for bind, device for a file system of its own
	Target  string   `json:"target"`           // absolute path in the container; "/" for the root
	Options []string `json:"options,omitempty"`

	// MakeSource, for bind: a Source that is not there is to be a directory, made before each start by who makes the container.
	MakeSource bool `json:"makeSource,omitempty"`

	// MatchUser, for bind: in the container the files of Source's owner are those of the container's user, and what that user makes is the owner's on the
	// host. Nobody else's files can be made there (package idmap).
	MatchUser bool `json:"matchUser,omitempty"`

	// Subpath, for all but tmpfs and file: mount only this path below Source, or of what the layers or the file system show,
	// resolved with openat2(RESOLVE_IN_ROOT) at mount time. It must exist.
	Subpath string `json:"subpath,omitempty"`

	// CopyUp, for bind of a directory: if Source holds nothing at mount time, what the
	// container's root has at Target is copied into it first, with owners, modes, times
	// and xattrs, and Source takes the owner and mode of the root's directory.
	// The copy runs under flock on Source so that two starting containers do not race.
	CopyUp bool `json:"copyUp,omitempty"`

	// Lower, Upper and Work, for type "overlay": the layers, topmost first, and the writable
	// directory with its work directory (both empty: read-only). They are fields and not one
	// option string because mount(2) bounds that string to a page.
	Lower []string `json:"lower,omitempty"`
	Upper string   `json:"upper,omitempty"`
	Work  string   `json:"work,omitempty"`

	// Data, for a file system that is neither the kernel's own nor made for this container (ext4, nfs): words for it,
	// "key=value" or a flag, passed on as they are. Options say how it is mounted. Such a file system is mounted in the host's network.
	Data []string `json:"data,omitempty"`

	// Server is the name of the machine that a file system is of, when the "addr=" of Data is to be its address. Names
	// change their addresses: it is looked up before each start, by who makes the container.
	Server string `json:"server,omitempty"`

	// File, for type "file": Source is not used. The bytes are written with owner and
	// mode to a tmpfs of the container's own and bound at Target, read-only unless File.Writable.
	File *File `json:"file,omitempty"`
}

// Filesystem says whether m, a volume, is a file system of a device or of another machine: neither the host's own, nor made for the container.
// The kernel knows one by its device or its server: it is one for all who mount it, and goes with the last of its mounts.
func (m *Mount) Filesystem() bool {
	switch m.Type {
	case "bind", "tmpfs", "file":
		return false
	}
	return len(m.Lower) == 0 && !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind")
}

// View says whether m, a volume, is an image that is mounted besides the root.
func (m *Mount) View() bool { return m.Type == "overlay" && len(m.Lower) > 0 }

// File is the content of a config, a secret, or a file that the platform writes for the container.
type File struct {
	Content []byte `json:"content"`
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
	Mode    uint32 `json:"mode"` // permission bits

	// Writable is for /etc/hosts, /etc/hostname and /etc/resolv.conf, which programs rewrite. Where the root is read-only they are too.
	Writable bool `json:"writable,omitempty"`
}
