// Package pack writes the tar stream of a directory that is, or is to become, a layer: the other way of package unpack.
//
// A layer that was made here has no tar stream that it came from. Its diff id is the digest of the stream that this package writes of it, which depends on nothing but the
// files: names in their order, owners, modes, whole seconds of the times, xattrs, content. Upper hashes it and keeps nothing; Layer writes it again for whoever wants it; Live is for
// directories that somebody is writing to.
//
// Called by image/layer and image/snapshot. Touches the directory that it is given; only Upper changes it.
package pack
