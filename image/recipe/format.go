package recipe

import "errors"

// A recipe is one zstd frame of records, in the order of the stream:
//
//	1 uvarint(n) n bytes                        literally these bytes
//	2 uvarint(size) uvarint(n) n bytes of path  the content of the file, relative to the layer's root, of that size
//	3                                           the end
const (
	literal byte = 1 + iota
	content
	end
)

const (
	// maxPath is PATH_MAX of linux/limits.h.
	maxPath = 4096
	// maxLiteral bounds one literal record; what is longer are several.
	maxLiteral = 64 << 10
	// DefaultLimit is above the headers of a million files. What a stream has beside its files beyond that is no layer's.
	DefaultLimit = 1 << 30
)

// ErrNoRecipe is a stream that is not remembered: it has too much beside its files, or was read in another way than it said.
var ErrNoRecipe = errors.New("the layer's stream cannot be remembered")

// ErrDiffers is a file that is not as it was when it was unpacked, or a recipe that is damaged.
var ErrDiffers = errors.New("the layer cannot be put together again")
