// Package snapshot gives containers and steps of builds what they stand on, as mount values, and says what they have written:
//
//	<state>/snapshots/<key>/  upper, work, image.json; view-<image> for images that are mounted besides
//
// A step's snapshot becomes a layer by being moved (Commit); of a container's a layer is made while it stays (Written). It mounts nothing.
//
// Called by the store of images. Touches its directory; of layers it reads only.
package snapshot
