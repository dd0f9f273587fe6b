// Package ask is what is asked of the engine, and what it answers: the options of the verbs, and the rows that they return. They are values, which cross the
// daemon's socket. It links neither the engine nor a driver, so that a command which only asks has nothing of them.
//
// Who uses it: reconcile, whose Engine's methods take and return these; api, which carries them; cmd/stack, which makes and shows them.
package ask
