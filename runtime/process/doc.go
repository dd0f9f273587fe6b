// Package process is what is said of the process that a container runs, or of an exec, by those who see it from outside: its streams, what it uses, how it ended.
// They are values, which those at the other end of the daemon's socket have too, who have nothing of the runtime.
package process
