// Package watch keeps containers equal to the sources that their services say are watched (develop.watch): stack watch, and up --watch.
//
// Three parts, in the order in which a change goes through them: package tree says which files have another content than before; package rule, which
// does nothing, says what that means for each service; a worker for each service carries it out by way of the daemon, one thing at a time, while what comes
// meanwhile waits as one. Files are of this side, the user's: the daemon need not see them.
package watch
