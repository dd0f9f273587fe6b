// Package recipe remembers how a layer's tar stream was put together, so that the stream can be written again, byte for byte, out
// of the files that were unpacked from it.
//
// A recipe has what no file keeps (the headers as they were written, their order, the padding, what follows the end) and for the content of
// a regular file only its path and size. It is some hundred bytes for each file, compressed, where the content is not.
//
// Called by image, which verifies what comes out against the layer's digest: a recipe is no authority.
package recipe
