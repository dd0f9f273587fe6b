package image

import (
	"context"
	"fmt"
	"time"

	"github.com/stackrun/stack/image/cache"
	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/flight"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/patch"
	"github.com/stackrun/stack/image/push"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/image/removal"
	"github.com/stackrun/stack/image/snapshot"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/roots"
)

// Options of a store.
type Options struct {
	Roots roots.Roots

	// Mirrors lists, by registry host, where to look before the host itself:
	// {"docker.io": ["http://127.0.0.1:5000", "https://proxy.example/dockerhub"]}.
	Mirrors map[string][]string

	// Insecure are hosts (with or without port) that may be spoken to without TLS or with a certificate that
	// nobody vouches for. Loopback may always be spoken to without TLS.
	Insecure []string

	// Offline asks no registry and no mirror: a pull or push is refused.
	Offline bool

	// Limits bound one layer. Zero = the defaults of package unpack.
	Limits unpack.Limits

	// Notice tells, once, what somebody should know and what is no error: a damaged index that was put aside. nil = nobody.
	Notice func(text string)
}

// Store holds the images of one state root. What is below it is said by those who keep it:
//
//	images/lock, pulls, tmp/           package storage
//	images/index.json, blobs/          package catalog
//	images/layers/, held/, unsynced/   package layer
//	images/patches/                    package patch
//	snapshots/, images/empty/, void/   package snapshot
//
// Its methods may be called from many goroutines, and several stores, also of different processes, may use one root.
type Store struct {
	registry  *registry.Client
	dir       *storage.Dir
	layers    *layer.Store
	patches   *patch.Store
	catalog   *catalog.Catalog
	snapshots *snapshot.Store
	removal   *removal.Remover
	push      *push.Pusher
	caches    *cache.Caches

	finds findList
	pulls flight.Group[Info]
}

// Open makes the store's directories, removes what a crash left and returns the store.
func Open(ctx context.Context, opt Options) (*Store, error) {
	reg, err := registry.New(registry.Options{Mirrors: opt.Mirrors, Insecure: opt.Insecure, Offline: opt.Offline})
	if err != nil {
		return nil, err
	}
	return open(ctx, opt, reg)
}

// open is Open with the registries of reg.
func open(ctx context.Context, opt Options, reg *registry.Client) (*Store, error) {
	dir, err := storage.Open(opt.Roots.InState("images"))
	if err != nil {
		return nil, fmt.Errorf("cannot open the image store: %w", err)
	}
	s := &Store{registry: reg, dir: dir}
	if s.layers, err = layer.Open(dir, opt.Limits); err != nil {
		return nil, fmt.Errorf("cannot open the image store %s: %w", dir.Path(), err)
	}
	if s.patches, err = patch.Open(dir, s.layers); err != nil {
		return nil, fmt.Errorf("cannot open the image store: %w", err)
	}
	if s.catalog, err = catalog.Open(dir, s.layers, opt.Notice); err != nil {
		return nil, fmt.Errorf("cannot open the image store: %w", err)
	}
	if s.snapshots, err = snapshot.Open(opt.Roots, dir, s.catalog, s.layers, s.patches); err != nil {
		return nil, fmt.Errorf("cannot open the image store: %w", err)
	}
	s.push = push.New(reg, s.catalog, s.layers)
	s.caches = cache.New(reg, s.layers, s.push)
	s.removal = removal.New(dir, s.catalog, s.layers, s.patches, s.snapshots)
	return s, nil
}

// Manifest asks the registry, or a mirror of it, what ref names. It fetches no layer, and counts there as a pull. Errors are those of Pull.
func (s *Store) Manifest(ctx context.Context, ref string, auth *Auth) (RemoteManifest, error) {
	return s.registry.Manifest(ctx, ref, auth)
}

// CheckAuth asks the registry host whether it knows auth. ErrDenied when it does not, errdefs.ErrUnavailable when it does not answer.
func (s *Store) CheckAuth(ctx context.Context, host string, auth Auth) error {
	return s.registry.CheckAuth(ctx, host, auth)
}

// Close waits until what was pulled has reached the disk, and what was removed is gone, or ctx ends. The store is not used afterwards.
func (s *Store) Close(ctx context.Context) error {
	s.registry.Close()
	if err := s.layers.Close(ctx); err != nil {
		return err
	}
	return s.snapshots.Settle(ctx)
}

// now is when something was pulled; whole seconds are enough and read better.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
