// Package boot makes what a monitor's container is: its init, in the namespaces and cgroups, its root and all other mounts, its devices, what belongs to
// the namespaces; and the way from all power to the program's own. It runs in the monitor, on its main thread, which goes into the
// container for that and comes back.
//
// The order is its security. First everything of the host that the container needs is opened as a detached
// mount (open_tree, fsmount). Then the thread changes root and lets go of the host: from there on no path, whatever
// symlinks the image or a volume holds, can reach the host, because the kernel's own root is the container's.
// Mounts are put onto file descriptors (move_mount) that were resolved once, never onto strings.
// The filter of system calls is the last thing before execve, with not one other call between.
//
// The init is a clone of the monitor (init.go): it waits, with nothing open but its socket, and then makes the system calls of a script that is ready in memory
// (script.go). An exec does the same but for the mounts, outside the container's pid namespace, and enters that with nothing left (entrance.go).
//
// Called by package monitor only. It needs Linux 5.12 (mount_setattr), and is linked
// from the standard library, x/sys/unix and values alone, because its size is paid at every start.
package boot
