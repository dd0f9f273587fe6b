// Package unpack writes one layer of an OCI image, a tar stream, into a directory that overlayfs can use
// as a lower layer.
//
// Layers are unpacked apart from each other, so that they can be unpacked at the same time and shared
// between images. What a layer says about layers below it is written in overlayfs's own words: the
// whiteout .wh.x becomes the character device 0:0 at x, .wh..wh..opq becomes trusted.overlay.opaque
// (https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories). What it
// takes for granted about them, a parent directory without an entry of its own or a hard link to a file of
// a lower layer, is in Result, and the caller settles it when it knows the layers below.
//
// The stream is hostile. Nothing is opened by a path that is walked again: every parent is resolved below the
// root by openat2(2) with RESOLVE_IN_ROOT, and every name is then used relative to that descriptor,
// without following it. A path with ".." is cleaned as if the layer's root were "/".
//
// Called by image. Touches the directory that it is given and nothing else.
package unpack
