package recipe

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// Pack makes a recipe's file of records, whatever they are.
func Pack(w io.Writer, records []byte) error {
	z, err := zstd.NewWriter(w)
	if err != nil {
		return err
	}
	if _, err := z.Write(records); err != nil {
		return err
	}
	return z.Close()
}
