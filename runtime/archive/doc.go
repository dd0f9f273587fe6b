// Package archive reads trees of files as tar streams, and writes tar streams into trees, where those who own the tree may be hostile and at work
// in it meanwhile: the files of a container, or a directory that something from a container is written to.
//
// A tree is a descriptor of its root. No name is walked but below it, by openat2(2): with RESOLVE_IN_ROOT in a container, where links mean what they
// mean inside, or, below the destination of a copy to the host, without following any link. What is found is used by its descriptor: a regular file is opened for its path
// alone, looked at, and opened by that descriptor then, so no device and no FIFO is ever opened. What the kernel itself keeps as files (procfs, sysfs, cgroups, …)
// is neither read nor written: a process of more power than the container's would do so there.
//
// Memory does not grow with a tree or a stream: no list of either is kept.
//
// Called by runtime, for containers, and by cmd/stack, for the host's side of a copy. Touches what it is given, and /proc/self/fd.
package archive
