package ask

// GCOptions of GC.
type GCOptions struct {
	Check bool `json:"check"` // find only
}

// Garbage is what GC has found.
type Garbage struct {
	Found   []Debris `json:"found"`
	Removed bool     `json:"removed"` // it is gone
	Skipped []string `json:"skipped,omitempty"`
}

// Debris is one thing that nothing has any more.
type Debris struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}
