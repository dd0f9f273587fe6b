package content

import (
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Meter hashes a stream as it comes, holds it to its declared size and reports how far it is.
type Meter struct {
	r      io.Reader
	hash   hash.Hash // nil = digest not known
	want   v1.Hash
	size   int64 // 0 = not known
	at     int64
	report func(n int64, all bool)
}

// NewMeter reads r as what has the digest want (the zero value: not known) and size bytes (0 = not known). report is told, from the goroutine that reads, how many bytes
// were read, and whether that is all. The error is an algorithm that is not known.
func NewMeter(r io.Reader, want v1.Hash, size int64, report func(n int64, all bool)) (*Meter, error) {
	m := &Meter{r: r, want: want, size: size, report: report}
	if want == (v1.Hash{}) {
		return m, nil
	}
	h, err := v1.Hasher(want.Algorithm)
	m.hash = h
	return m, err
}

// Read is ErrUnusable as soon as there is more than the declared size.
func (m *Meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.at += int64(n)
	if m.hash != nil {
		m.hash.Write(p[:n])
	}
	if m.size > 0 && m.at > m.size {
		return n, fmt.Errorf("%w: it is longer than the %d bytes that its manifest says", ErrUnusable, m.size)
	}
	m.report(m.at, m.at == m.size || err == io.EOF)
	return n, err
}

// Verify is for when r has been read to its end: nil when that was what it should be, else ErrUnusable.
func (m *Meter) Verify() error {
	if m.size > 0 && m.at != m.size {
		return fmt.Errorf("%w: it has %d bytes and its manifest says %d", ErrUnusable, m.at, m.size)
	}
	if m.hash == nil {
		return nil
	}
	if got := hex.EncodeToString(m.hash.Sum(nil)); got != m.want.Hex {
		return fmt.Errorf("%w: its digest is %s:%.12s…, expected %s:%.12s…", ErrUnusable, m.want.Algorithm, got, m.want.Algorithm, m.want.Hex)
	}
	return nil
}
