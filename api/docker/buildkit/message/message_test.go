package message

import (
	"testing"
	"time"
)

// FuzzRead: no bytes make a reader panic.
func FuzzRead(f *testing.F) {
	f.Add(FrontendSolved("ref", "docker-image://x"))
	f.Add(Status{Vertexes: []Vertex{{Digest: "d", Name: "n", Started: time.Unix(1, 2)}}, Logs: []VertexLog{{Vertex: "d", Text: []byte("t")}}}.Encode())
	f.Add(Packet{Type: PacketReq, ID: 7}.Encode())
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(_ *testing.T, b []byte) {
		// Each may refuse it.
		_, _ = ReadSolve(b)
		_, _ = ReadFrontendSolve(b)
		_, _ = ReadReturn(b)
		_, _ = ReadPacket(b)
		_, _ = ReadPrune(b)
		_, _ = ReadData(b)
		_, _ = ReadRef(b)
		_, _ = ReadWarning(b)
		_, _, _ = ReadCredentials(b)
	})
}

// TestDefinition: what names a result is read again, and a graph is none.
func TestDefinition(t *testing.T) {
	var d Definition
	if err := d.read(definitionOf("docker-image://x")); err != nil || !d.Any || d.Source != "docker-image://x" {
		t.Errorf("%+v, %v", d, err)
	}
	var exec, e encoder
	exec.message(2, []byte("\x0a\x00"))
	e.message(1, exec)
	d = Definition{}
	if err := d.read(append(definitionOf("docker-image://x"), e...)); err != nil || !d.Any || d.Source != "" {
		t.Errorf("%+v, %v", d, err)
	}
}
