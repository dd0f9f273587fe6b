// Package history remembers what was done to each project: the plans that changed something, with their reasons and outcome, and how
// each container came to run the last time. It is a store of its own beside that of the desired projects, so that its
// loss costs nobody a container: reconcile goes on without it.
//
// Who calls it: reconcile, which begins an entry before it changes anything and ends it afterwards; `stack history`, `rollback`
// and `why` read it. What it touches: one file, <state>/history.db. It keeps projects as they were applied, with the values of their
// variables, and the file is for root alone; of reasons and errors it is given only what may be shown.
package history
