// Package reconcile makes the host what a Compose file says, and keeps it so.
//
//	spec.Project ─ desire.Of ─▶ plan.Desired ─┐
//	host ───────── observe ──▶ plan.Observed ─┴ plan.Build ─▶ plan.Plan ─ apply.Run ─▶ drivers
//
// Engine is the door: one method per verb, called by package api. It composes the packages below, which have what each does and the state for it, and
// has itself what acts on projects. docs/adr/0073-the-walls-of-the-engine.md says which are there, and who holds which lock.
//
// It touches no kernel interface itself, but for looking: device nodes, bind sources, files of configs and secrets.
package reconcile
