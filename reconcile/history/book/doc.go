// Package book keeps the history of projects. It is a store of its own beside that of the desired projects, so that its
// loss costs nobody a container: reconcile goes on without it.
//
// Who calls it: reconcile, which begins an entry before it changes anything and ends it afterwards, and reads it for `stack history`, `rollback`
// and `why`. What it touches: one file, <state>/history.db. It keeps projects as they were applied, with the values of their
// variables, and the file is for root alone; of reasons and errors it is given only what may be shown.
package book
