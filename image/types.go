package image

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Info is one local image.
type Info struct {
	ID       v1.Hash  // digest of the config blob: the image id that users know
	Digest   v1.Hash  // digest of the manifest that was pulled, for repo digests; zero after docker-archive loads
	Refs     []string // tags, as users write them: nginx:1.22
	Digests  []string // repository@digest of manifest and index, as users write them
	Platform v1.Platform
	Size     int64 // bytes of the unpacked layers
	Created  time.Time
	PulledAt time.Time
	Dangling bool      // no name keeps it
	Config   v1.Config // Entrypoint, Cmd, Env, User, WorkingDir, Volumes, Healthcheck, StopSignal, Labels
}

// Progress of a pull, a load or a push. Total 0 = not known yet.
type Progress struct {
	Ref     string
	Layer   string // short digest; "" = the whole image
	Phase   Phase
	Current int64
	Total   int64

	// Note is something that the user should know of: the mirror that was used or left out, credentials
	// that could not be had. "" = nothing.
	Note string

	From string // where Mounted is from: another repository of the registry
}

type Phase string

const (
	Resolving   Phase = "Resolving"
	Downloading Phase = "Downloading"
	Loading     Phase = "Loading" // reading an archive
	Extracting  Phase = "Extracting"
	Done        Phase = "Done"

	// Of a push.
	Preparing Phase = "Preparing" // finding out whether the registry has the layer
	Sending   Phase = "Pushing"
	Sent      Phase = "Pushed"
	Exists    Phase = "Layer already exists"
	Mounted   Phase = "Mounted"
)
