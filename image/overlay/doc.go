// Package overlay reads directories as overlayfs lays them on each other: which of them has a name, which of them hides it, and whose owner and mode are shown
// (https://docs.kernel.org/filesystems/overlayfs.html). It mounts nothing.
//
// Called by image/patch, image/pack and image/snapshot. Touches the directories that it is given: it reads them, and writes attributes where it is told to.
package overlay
