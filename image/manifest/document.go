package manifest

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Document is a manifest or an index as it was served.
type Document struct {
	Raw    []byte
	Media  types.MediaType
	Digest v1.Hash
}

const MaxManifest = 4 << 20 // "at least 4 megabytes" is what registries must take: distribution-spec v1.1.1
