// Package boot is what runs between clone and execve: in the namespaces that the monitor made for
// it, as the process that will be the container's. It makes the root and all other mounts,
// changes root, sets what belongs to the namespaces, drops privileges and becomes the container's program.
//
// The order is its security. First everything of the host that the container needs is opened as a detached
// mount (open_tree, fsmount). Then boot changes root and lets go of the host: from there on no path, whatever
// symlinks the image or a volume holds, can reach the host, because the kernel's own root is the container's.
// Mounts are put onto file descriptors (move_mount) that were resolved once, never onto strings.
// The filter of system calls is the last thing before execve, with not one other call between.
//
// An exec does the same but for the mounts, outside the container's pid namespace, and enters that with nothing left (entrance.go). No program
// is started for it: its monitor prepares it and clones itself.
//
// Called by cmd/stack-init and package monitor. It runs on a locked main thread, needs Linux 5.12 (mount_setattr), and is linked
// from the standard library, x/sys/unix and values alone, because its size is paid at every start.
package boot
