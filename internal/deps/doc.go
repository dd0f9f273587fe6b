// Package deps holds tests on the source tree itself: which packages may import which, that
// every package says what it is for, and that a file which a comment or a page cites exists. It has no code of its own.
package deps
