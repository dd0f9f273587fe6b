// Package storage is the directory that a store of images lives in: its locks, what is being made in it, and what is said when its disk is full.
//
// The parts of the store have their own directories in it. What one of them makes is made in a Scratch and moved to its place by rename(2), so that it is there only when it is
// whole; what it removes goes the other way.
//
// Called by these parts. Touches nothing but the directory.
package storage
