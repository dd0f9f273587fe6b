package image

import (
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/registry"

	"time"

	"github.com/stackrun/stack/image/progress"

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

// Auth is what a client shows to a registry in place of what this host has stored.
type Auth = credentials.Auth

// RemoteManifest is what a registry has under a name.
type RemoteManifest = registry.Manifest

// ErrDenied is a registry that wants other credentials, or any.
var ErrDenied = registry.ErrDenied

// Progress of a pull, a load or a push.
type Progress = progress.Report

// Phase is what is being done, in users' words.
type Phase = progress.Phase

// The phases of a pull and a load, and those of a push.
const (
	Resolving   = progress.Resolving
	Downloading = progress.Downloading
	Loading     = progress.Loading
	Extracting  = progress.Extracting
	Done        = progress.Done

	Preparing = progress.Preparing
	Sending   = progress.Sending
	Sent      = progress.Sent
	Exists    = progress.Exists
	Mounted   = progress.Mounted
)
