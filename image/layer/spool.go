package layer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/errdefs"
)

// Spool writes the tar stream that r has to file, in the bounds of a layer, and says its digest.
func (l *Store) Spool(ctx context.Context, r io.Reader, file string) (v1.Hash, error) {
	plain, err := content.Decompress(r)
	if err != nil {
		return v1.Hash{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot import it: it is neither tar nor compressed tar: %w", err))
	}
	defer plain.Close()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return v1.Hash{}, err
	}
	defer f.Close()
	limit := l.limits.Bytes
	if limit == 0 {
		limit = unpack.DefaultBytes
	}
	limit += limit / tarOverhead
	sum, buf := sha256.New(), make([]byte, 256<<10)
	for n := int64(0); ; {
		if ctx.Err() != nil {
			return v1.Hash{}, context.Cause(ctx)
		}
		k, err := plain.Read(buf)
		if n += int64(k); n > limit {
			return v1.Hash{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot import it: %w", fmt.Errorf("%w of %s", unpack.ErrLimit, content.SizeText(limit))))
		}
		sum.Write(buf[:k])
		if _, err := f.Write(buf[:k]); err != nil {
			return v1.Hash{}, err
		}
		if err == io.EOF {
			return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, f.Close()
		}
		if err != nil {
			return v1.Hash{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot import it: %w", err))
		}
	}
}
