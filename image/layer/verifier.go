package layer

import (
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/unpack"
)

// verifier hashes what is read and bounds it.
type verifier struct {
	r     io.Reader
	hash  hash.Hash
	want  v1.Hash
	left  int64
	limit int64
}

// tarOverhead allows for headers, padding and long names beside the files' own bytes.
const tarOverhead = 4

// newVerifier reads r, a layer's plain stream, as what has the digest want and files of at most limit bytes together.
func newVerifier(r io.Reader, want v1.Hash, limit int64) (*verifier, error) {
	h, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return nil, err
	}
	total := limit + limit/tarOverhead + 64<<20
	return &verifier{r: r, hash: h, want: want, left: total, limit: total}, nil
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if v.left -= int64(n); v.left < 0 {
		return n, fmt.Errorf("%w of %s", unpack.ErrLimit, content.SizeText(v.limit))
	}
	return n, err
}

// verify is for when r has been read to its end.
func (v *verifier) verify(what string) error {
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want.Hex {
		return fmt.Errorf("%w: %s, its digest is %s:%.12s…, expected %s:%.12s…", content.ErrUnusable, what, v.want.Algorithm, got, v.want.Algorithm, v.want.Hex)
	}
	return nil
}
