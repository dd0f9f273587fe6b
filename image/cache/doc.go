// Package cache reads and writes what builders keep outside of this host: a document of theirs, and the layers that it speaks of.
//
// It looks like an image: a manifest with layers and a configuration, whose rootfs.diff_ids say what the layers are unpacked, and whose field Field is the document. In a registry and in a
// directory (an OCI image layout) the configuration's media type is Media, so that nobody takes it for an image; in an image that was made with its cache inline it is the image's own.
//
// What is read is a stranger's: manifest and configuration are held to their digests and to bounds, a layer to the digest of its blob and to its diff id when it is fetched, which is when it is
// needed. A directory is read and written through os.Root.
//
// Called by the store of images. Touches the directories that it is told.
package cache
