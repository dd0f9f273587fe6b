// Package reconcile makes the host what a Compose file says, and keeps it so.
//
//	spec.Project ─ desire.Of ─▶ plan.Desired ─┐
//	host ───────── observe ──▶ plan.Observed ─┴ plan.Build ─▶ plan.Plan ─ apply.Run ─▶ drivers
//
// Engine is the door: one method per verb, called by package api. It reads what is on the host from the host, through the
// interfaces of package driver, and keeps in memory only the supervisors of what runs (package supervise). Package bundle turns
// what a container is to be into the runtime's values.
//
// It touches no kernel interface itself, but for looking: device nodes, bind sources, files of configs and secrets.
package reconcile
