package message

import "time"

// Status is moby.buildkit.v1.StatusResponse: what has happened since the one before.
type Status struct {
	Vertexes []Vertex
	Statuses []VertexStatus
	Logs     []VertexLog
	Warnings []VertexWarning
}

// Vertex is a step. Each time that something of it is another it is told as a whole.
type Vertex struct {
	Digest    string // sha256:… that stands for it in the build
	Name      string
	Cached    bool
	Started   time.Time
	Completed time.Time
	Error     string
}

// VertexStatus is how far a part of a step is, whose ID is shown.
type VertexStatus struct {
	ID        string
	Vertex    string
	Current   int64 // bytes
	Time      time.Time
	Started   time.Time
	Completed time.Time
}

// VertexLog is what a step has written.
type VertexLog struct {
	Vertex string
	Time   time.Time
	Text   []byte
}

// VertexWarning is a sentence; the build goes on.
type VertexWarning struct {
	Vertex string
	Short  string
}

// Encode is s as it is sent.
func (s Status) Encode() []byte {
	var e encoder
	for _, v := range s.Vertexes {
		var one encoder
		one.string(1, v.Digest)
		one.string(3, v.Name)
		one.bool(4, v.Cached)
		one.time(5, v.Started)
		one.time(6, v.Completed)
		one.string(7, v.Error)
		e.message(1, one)
	}
	for _, v := range s.Statuses {
		var one encoder
		one.string(1, v.ID)
		one.string(2, v.Vertex)
		one.varint(4, uint64(v.Current))
		one.time(6, v.Time)
		one.time(7, v.Started)
		one.time(8, v.Completed)
		e.message(2, one)
	}
	for _, l := range s.Logs {
		var one encoder
		one.string(1, l.Vertex)
		one.time(2, l.Time)
		one.varint(3, 1) // stdout: of a RUN both streams are one
		one.bytes(4, l.Text)
		e.message(3, one)
	}
	for _, w := range s.Warnings {
		var one encoder
		one.string(1, w.Vertex)
		one.varint(2, 1)
		one.string(3, w.Short)
		e.message(4, one)
	}
	return e
}
