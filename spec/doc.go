// Package spec is the Compose language: it reads files into a Project.
//
// The way of a file, in the order that docker compose has:
//
//	locate.go       which files, variables, project name, profiles
//	tree            YAML into nodes that know their place; aliases, merge keys
//	interpolate.go  variables, by package interp
//	include.go      included files, extends.go extended services, rebase.go their paths,
//	                remote.go those of git and registries, by the Fetcher that is passed in
//	merge.go        one document over another, by the table in mergerules.go
//	checkkeys.go    every key against package schema's table
//	decode*.go      nodes into values, a table of fields per object
//	build.go        profiles, defaults, implied dependencies
//	consistency.go  what no single key can tell
//	purpose.go      what of it matters to run, to show or to manage the project
//	explain.go      where each value comes from, by the notes of trail.go
//
// Package editor, below this one, tells editors about files that are not valid yet.
//
// Every node keeps file, line and column on this way, so every fault and every
// entry of Project.Sources names its real place. All faults of a pass come in one
// list; a pass only starts when the one before had none.
//
// The package is a library: it does no I/O but through the fs.FS and the Fetcher it is given, reads no
// environment but the map it is given, keeps no state between calls.
package spec
