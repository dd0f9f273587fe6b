// Package build makes images from Dockerfiles.
//
// Flow: the Dockerfile is read (dockerfile.go). What is not supported is refused by name and line. The stages that
// the target needs are put in order; independent stages run at the same time, and each runs its instructions one
// after another. An instruction that only changes the configuration makes no layer. RUN is a container of package
// runtime on a snapshot of package image. COPY and ADD write into such a snapshot through a detached mount. The
// snapshot then becomes a layer. At the end one image is recorded, with all its layers, and gets its names.
//
// The result of a step is found again by what the step means: its parent, its words with the variables in them
// expanded, and the content of the files that it reads. That contains nothing of a host. So the results of other
// hosts are found too, in the caches that a Request names (imports.go, exports.go).
//
// Called by reconcile through its interfaces. May touch: <state>/build, and what the drivers that it is given touch.
// It uses the values of image, runtime and network, and never imports spec or reconcile.
package build
