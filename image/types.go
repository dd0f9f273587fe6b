package image

import (
	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/push"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/image/removal"
	"github.com/stackrun/stack/image/snapshot"
)

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

// Info is one local image.
type Info = catalog.Info

// LayerInfo is one layer of a local image.
type LayerInfo = catalog.LayerInfo

// Layer is what Commit has made.
type Layer = snapshot.Layer

// Change is one path that a container has changed, from its root.
type Change = snapshot.Change

// ChangeKind says what a container has done with a path of its image.
type ChangeKind = snapshot.ChangeKind

// The kinds of changes.
const (
	Modified = snapshot.Modified
	Added    = snapshot.Added
	Deleted  = snapshot.Deleted
)

// Pushed is what a registry has after a push.
type Pushed = push.Result

// Removal is what a Delete has come to.
type Removal = removal.Result

// DeleteOptions of DeleteImage.
type DeleteOptions = removal.Options

// Pruned says what Prune removed.
type Pruned = removal.Pruned
