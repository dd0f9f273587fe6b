// Package reconcile makes the host what a Compose file says, and keeps it so.
//
//	spec.Project ─ desire.Of ─▶ plan.Desired ──┐
//	host ─ inventory.Observe ─▶ plan.Observed ─┴ plan.Build ─▶ plan.Plan ─ apply.Run ─▶ drivers
//
// Engine is the entrance: it has one method per verb, which package api calls. It is composed of the packages below
// this one. Each of them does one thing and holds the state for it. The engine itself has the verbs on whole projects
// (up, kill, plans, saved plans) and the start after a boot or a crash. docs/adr/0073-the-walls-of-the-engine.md
// lists the packages, and says who holds which lock.
//
// It touches no kernel interface itself, except to look: device nodes, bind sources, files of configs and secrets.
package reconcile
