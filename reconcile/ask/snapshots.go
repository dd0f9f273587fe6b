package ask

import "time"

// SnapshotOptions is one `volumes snapshot`.
type SnapshotOptions struct {
	Volumes []string       // by their key in the file or their name, or services, whose they are; empty = all of the project
	Name    string         // of the snapshot; "" = the time
	Stop    bool           // who has them is stopped meanwhile, not paused
	Timeout *time.Duration // of stops; nil = each container's own grace
}

// RestoreOptions is one `volumes restore`.
type RestoreOptions struct {
	Name    string
	Volumes []string       // as in SnapshotOptions; empty = all of the snapshot
	Stop    bool           // who has them is stopped and started again; else it must not run
	Timeout *time.Duration // of stops
}

// CloneOptions is one `volumes clone`.
type CloneOptions struct {
	From    string // the project that has Source; "" = the one that Target is of
	Source  string // a volume by its key in the file or its name
	Target  string // a key of the file's volumes
	Replace bool   // also when there is a volume Target
}

// Snapshot is what some volumes of a project had in them at one moment.
type Snapshot struct {
	Project   string           `json:"project"`
	Name      string           `json:"name"`
	CreatedAt time.Time        `json:"createdAt"`
	Volumes   []SnapshotVolume `json:"volumes"`
}

// SnapshotVolume is a volume of a snapshot.
type SnapshotVolume struct {
	Name string `json:"name"`          // on the host
	Key  string `json:"key,omitempty"` // in the file; "" = an anonymous one
}

// RemovedVolume is a volume that was removed and can be brought back.
type RemovedVolume struct {
	Name      string    `json:"name"`
	Key       string    `json:"key,omitempty"` // in the file
	RemovedAt time.Time `json:"removedAt"`
	Until     time.Time `json:"until"` // from then on it goes for good
}
