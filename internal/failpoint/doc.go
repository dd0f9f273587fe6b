// Package failpoint kills the process at a named point of its work, for tests of what a crash leaves.
//
// Code calls Hit where the kernel or the disk has just taken something that outlives the process. In a binary that is
// built without the tag "failpoint", which is every binary that users have, Hit is empty and is inlined away. In one with
// it, two variables of the environment steer:
//
//	STACK_FAILPOINT=name#n     SIGKILL to ourselves at the n-th hit of name, counted from 1
//	STACK_FAILPOINT_TRACE=path append each hit, one name a line
//
// A name is <room>.<verb>.<what has just happened>. A test counts the hits of a clean run from the trace and then
// kills at each of them: (name, n) is the same work in every run, whatever order parallel steps take.
//
// It imports no package of this module, and may be called with any lock held.
package failpoint
