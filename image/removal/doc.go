// Package removal takes names and images away, and with them the layers, patches and documents that nothing leads to.
//
// What is in use stays: an image with a snapshot, a layer that is held, and all layers while something is pulled, loaded, saved or pushed.
//
// Called by the store of images. Touches all that it has on the disk.
package removal
