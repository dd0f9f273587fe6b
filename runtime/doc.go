// Package runtime runs containers on the Linux kernel from OCI runtime-spec
// values: create, start, exec, kill, delete, list. It knows nothing of Compose.
//
// Flow: Driver (in the daemon) records a Config (package record), makes the cgroup, and starts a
// monitor (packages supervision and child) from a sealed memfd (package initprog); the monitor (package monitor) clones the
// container's init, which is boot (package boot): mounts, ids, capabilities, seccomp,
// execve. What they say to each other is package proto. The monitor is the parent of the init for as
// long as it lives, holds its stdio, writes its log and its exit status, and needs no daemon.
//
// Called by reconcile through reconcile/driver. May touch: processes, cgroups, files below
// <state>/containers and <run>/containers. It never imports spec, reconcile, image, network or volume.
package runtime
