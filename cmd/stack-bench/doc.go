// Command bench measures the table of the design, docs/performance.md, against the peers that are installed: dockerd with docker compose, podman
// with docker compose on its socket, and runc and crun for a container's life. `make bench` runs it.
//
// It works in a sandbox of namespaces (internal/sandbox) and starts every daemon itself, so that nothing outside is touched, and
// takes the engines in turn within each row, so that what else the machine does falls on all of them. State lies on an
// ext4 with a journal, loop-mounted, where the kernel gives one: unpacking costs something else on other file systems. It prints
// medians and ratios, and asserts nothing.
package main
