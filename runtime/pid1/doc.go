// Package pid1 is the program that runs as PID 1 of a container with init: true, before and beside the container's own: it starts
// that one, forwards signals to it, reaps orphans, and ends as it does.
//
// It is a static ELF file of less than a kilobyte, in assembler, because it stays as long as the container and counts against the
// container's own limits of processes and memory: a program in Go is four threads and most of a megabyte (docs/adr/0044-tiny-init.md).
// Go's assembler makes its code when this package is compiled, and Program puts the headers before it: there is no
// binary in the tree and no other tool in the build.
package pid1
