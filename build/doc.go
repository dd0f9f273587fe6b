// Package build makes images from Dockerfiles.
//
// Flow: the Dockerfile is read and everything that is not supported is refused by name and line (file.go); the stages
// that the target needs are put in order, and each runs its instructions one after another, independent stages side by side. An instruction
// that only changes the configuration makes nothing. RUN is a container of package runtime on a snapshot of package image, COPY and ADD
// write into such a snapshot through a detached mount; the snapshot then becomes a layer. At the end
// one image is recorded, with all its layers, and gets its names.
//
// What a step has made is found again by what the step means: its parent, its words with the variables in them expanded, and the content of the
// files that it takes in. Nothing of a host is in that, so what other hosts have made is found too, in the caches that a Request names (imports.go, exports.go).
//
// Called by reconcile through its interfaces. May touch: <state>/build, and what the drivers touch that it is
// given. Of image, runtime and network it uses the values; it never imports spec or reconcile.
package build
