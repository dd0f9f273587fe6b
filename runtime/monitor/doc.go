// Package monitor is the parent of a container's init, for as long as the init lives. It clones the init, holds its
// stdio or terminal, writes its log, serves those who attach, and leaves its exit status in a file. It needs no
// daemon and does not notice when the daemon dies: the next daemon finds the status, socket, log and exit file.
//
// A monitor whose container was a short one, and that still has its daemon, waits for the next container: see
// free.go.
//
// It can also be the parent of an exec, a process that joins a running container. What the daemon hands over decides
// which.
//
// There is one monitor for every container, so its size counts. It uses no net and no heavy fmt while the container
// runs, has a small heap, and shares buffers between streams.
//
// Called by cmd/stack-init, as the program's main loop. May touch: the container's processes, its terminal and stdio,
// and its files below <state>/containers, <run>/containers and the log's directory.
package monitor
