package layer

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Source is a layer that can be read.
type Source struct {
	Diff   v1.Hash
	Digest v1.Hash         // of the stream as it comes; zero = not known, the diff id alone decides
	Size   int64           // of the stream as it comes; 0 = not known
	Media  types.MediaType // of the stream as it comes; "" = not known
	Open   func(context.Context) (io.ReadCloser, error)
}

// ID is what progress calls the layer.
func (l Source) ID() v1.Hash {
	if l.Digest != (v1.Hash{}) {
		return l.Digest
	}
	return l.Diff
}
