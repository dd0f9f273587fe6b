package image

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// document is a manifest or an index as it was served.
type document struct {
	raw    []byte
	media  types.MediaType
	digest v1.Hash
}

const maxManifest = 4 << 20 // "at least 4 megabytes" is what registries must take: distribution-spec v1.1.1
