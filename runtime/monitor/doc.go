// Package monitor is the parent of a container's init, for as long as that lives: it clones it, holds its stdio or
// terminal, writes its log, serves those who attach, and leaves its exit status in a file. It needs no daemon:
// one that dies is not noticed, and the next one finds status, socket, log and exit file.
//
// One that has ended a short container, and still has its daemon, waits for the next: see free.go.
//
// Or it is the parent of an exec, a process that joins a running container: what the daemon hands over decides.
//
// There is one for every container, so its size counts: no net, no fmt-heavy paths while it runs, a small
// heap, buffers shared between streams.
package monitor
