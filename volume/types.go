package volume

import "time"

// Config is a named volume to be. ID is unique per instance: the volume's name.
type Config struct {
	ID         string            `json:"id"`
	Driver     string            `json:"driver,omitempty"` // local
	DriverOpts map[string]string `json:"driverOpts,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Anonymous  bool              `json:"anonymous,omitempty"`
	// ClientLabels are what a client of the Docker Engine API gave as labels. They are kept for those who show or filter them: nobody goes by them.
	ClientLabels map[string]string `json:"clientLabels,omitempty"`
}

// State is a volume as it is on the host.
type State struct {
	Config    Config
	Path      string // the directory that containers see
	CreatedAt time.Time
	Problem   string // what is not as recorded, one clause; "" = nothing
}

// Use is one thing that a container wants mounted.
type Use struct {
	Kind           Kind
	Source         string // Bind: host path; Volume: Config.ID
	Target         string // absolute, clean
	ReadOnly       bool
	Propagation    string
	Recursive      string // enabled disabled writable readonly
	CreateHostPath bool
	MatchUser      bool // Bind: as mount.Mount's
	NoCopy         bool
	Subpath        string
	Size           int64  // Tmpfs, bytes; 0 = the kernel's default
	Mode           uint32 // Tmpfs: 0 = of the directory that it covers, 01777 where there is none; File: permission bits
	Options        []string
	Content        []byte // File
	UID, GID       int    // File
}

type Kind string

const (
	Bind   Kind = "bind"
	Volume Kind = "volume"
	Tmpfs  Kind = "tmpfs"
	File   Kind = "file"
)
