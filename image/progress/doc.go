// Package progress is what a pull, a load or a push tells of itself, and how often.
//
// Called by what works on images. Touches nothing.
package progress
