// Package pid1 is the program that runs as PID 1 of a container with init: true, before and beside the container's own: it starts
// that one, forwards signals to it, reaps orphans, and ends as it does.
//
// It is in assembler (package elf), because it stays as long as the container and counts against the
// container's own limits of processes and memory: a program in Go is four threads and most of a megabyte (docs/adr/0044-tiny-init.md).
package pid1
