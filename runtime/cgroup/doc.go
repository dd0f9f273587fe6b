// Package cgroup gives each container its control groups: directories with limits set, made before the
// container runs, killed, frozen and removed as one.
//
// A host has one cgroup2 tree, or v1 trees (one per set of controllers), or both ("hybrid"). A Parent is the
// directory stack-<instance> in each tree that is used; a container is one directory below it in each. Trees are found
// in /proc/self/mountinfo as they are mounted for this process, so a nested sandbox with a
// cgroup namespace of its own works like a host.
//
// What was written is read back. A limit that the host cannot apply is an error or a warning, as
// Options say, never silent.
//
// https://docs.kernel.org/admin-guide/cgroup-v2.html
// https://docs.kernel.org/admin-guide/cgroup-v1/
package cgroup
