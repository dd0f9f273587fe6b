// Package image holds OCI images: references, registries, the content store, unpacked layers
// and the overlay snapshots that containers run on.
//
// Flow: Pull resolves a reference (through mirrors, with credentials), fetches and unpacks layers in
// parallel into <state>/images, and commits the image in one step; Prepare gives a container its
// writable snapshot as mount values. Layers are shared by chain, and a layer directory exists
// only when it is whole. Push and Save give images on: the stream of a layer is put together again by its recipe.
//
// Store is the room's door and its verbs. Each noun behind it is a package with its own state and lock: who is asked (registry, credentials), what an image is
// (manifest, platform), which there are (catalog), what they are made of (layer, patch), what stands on them (snapshot), what is given on (push, archive) and taken away (removal).
//
// Called by reconcile through reconcile/driver. May touch: registries, <state>/images, <state>/snapshots.
// It mounts nothing and never imports spec, reconcile, runtime (but runtime/mount), network or volume.
package image
