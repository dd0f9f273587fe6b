// Package dormant is the program that a monitor is while it has nothing to do: it waits for one event, and executes the monitor's program again. Process, children and
// open files stay; what a program in Go needs to wait, most of a megabyte, does not (docs/adr/0088-a-monitor-at-rest.md).
//
// It is in assembler (package elf). Its descriptor Events is an epoll instance with all that the monitor would wait for. Whoever executes it has blocked all signals, as
// they are in what it executes then: none ends a process that cannot ignore it yet. It executes what the variable Path says, with its own arguments and environment, and has the name (proc_pid_comm(5)) that Name says. An execve that
// fails is tried again until it does not: what has come waits meanwhile.
package dormant

// Events is the descriptor of the epoll instance.
const Events = 31

// The first two variables of its environment, in this order.
const (
	Path = "PROGRAM" // what it executes
	Name = "NAME"    // its name
)
