// Package content holds what comes from elsewhere to what it was said to be: bytes to the digest and the size that name them, whoever
// gave them. It reads streams while they come: hashed, decompressed, ahead of who uses them.
//
// Called by what fetches, reads or keeps parts of images. Touches nothing but what it is given to read.
package content
