// Package archive reads and writes image archives: what docker save writes, and OCI layouts, each in one tar stream
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
//
// An archive is hostile. Names in it are keys and never paths.
//
// Called by the store of images. Touches the directory that it is given to read into.
package archive
