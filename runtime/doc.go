// Package runtime runs containers on the Linux kernel from OCI runtime-spec values: create, start, exec, kill,
// delete, list. It knows nothing of Compose.
//
// Flow: the Driver, in the daemon, records a Config (package record), makes the cgroup, and starts a monitor from a
// sealed memfd (packages supervision, child and initprog). The monitor (package monitor) clones the container's init,
// and makes what the container is with package boot: mounts, ids, capabilities, seccomp, execve. Package proto has
// the messages between daemon and monitor. The monitor is the parent of the init for as long as the init lives. It
// holds its stdio, writes its log and its exit status, and needs no daemon.
//
// Called by reconcile through reconcile/driver. May touch: processes, cgroups, files below <state>/containers and
// <run>/containers. It never imports spec, reconcile, image, network or volume.
package runtime
