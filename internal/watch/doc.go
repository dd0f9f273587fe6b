// Package watch is how damage by other hands is noticed without polling: hints that something may have changed, and the files of the
// kernel that wake a waiter. What counts is the state that a receiver then reads (level-triggered): a hint says to look again, not what
// to see.
//
// A Files (inotify) is drained by two: a goroutine that its descriptor wakes, and whoever is about to look and wants to know of
// everything that happened before. The kernel queues an event before the call that caused it returns.
package watch
