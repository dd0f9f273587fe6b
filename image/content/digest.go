package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/objectid"
)

// Digest is the name of b: its sha256.
func Digest(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Verify holds b to the digest want. ErrUnusable, with both, when it is another; another error for an algorithm that is not known.
func Verify(b []byte, want v1.Hash) error {
	h, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return err
	}
	io.Copy(h, bytes.NewReader(b)) //nolint:errcheck // a hash does not fail
	if got := hex.EncodeToString(h.Sum(nil)); got != want.Hex {
		return fmt.Errorf("%w: its digest is %s:%.12s…, expected %s:%.12s…", ErrUnusable, want.Algorithm, got, want.Algorithm, want.Hex)
	}
	return nil
}

// Short is what messages show of a digest: its first twelve digits.
func Short(h v1.Hash) string { return objectid.Short(h.Hex) }

// ErrUnusable is an answer that arrived and is not what it should be.
var ErrUnusable = errors.New("not usable")

// SizeText is n bytes for messages, in KiB, MiB or GiB.
func SizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n/1024)
}

// ReadAll reads all of r, at most limit bytes; ErrUnusable, which calls it what, when there is more.
func ReadAll(r io.Reader, limit int64, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %s", ErrUnusable, what, SizeText(limit))
	}
	return b, nil
}
