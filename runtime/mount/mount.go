// Package mount is the word that image, volume and runtime share: a value that
// says what is to be mounted where in a container. Components either emit
// mounts (image, volume) or consume them (runtime/boot); nobody else calls
// mount(2) for a container.
package mount

// Mount is fstab in spirit, a superset of the OCI runtime-spec's mount:
// https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#mounts
type Mount struct {
	Type    string   `json:"type"`             // bind, overlay, tmpfs, proc, …
	Source  string   `json:"source,omitempty"` // host path for bind
	Target  string   `json:"target"`           // absolute path in the container; "/" for the root
	Options []string `json:"options,omitempty"`

	// Subpath, for bind and overlay: mount only this path below Source, or of what the layers show,
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

	// File, for type "file": Source is not used. The bytes are written with owner and
	// mode to a tmpfs of the container's own and bound at Target, read-only unless File.Writable.
	File *File `json:"file,omitempty"`
}

// File is the content of a config, a secret, or a file that the platform writes for the container.
type File struct {
	Content []byte `json:"content"`
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
	Mode    uint32 `json:"mode"` // permission bits

	// Writable is for /etc/hosts, /etc/hostname and /etc/resolv.conf, which programs rewrite. Where the root is read-only they are too.
	Writable bool `json:"writable,omitempty"`
}
