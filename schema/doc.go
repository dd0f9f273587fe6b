// Package schema says which attributes the Compose language has and what this
// program does with each: support.go is the table, one line per attribute. The
// loader refuses what the table does not know or refuses, and warns where it says
// so; docs/compat.md and compose.schema.json, for editors, are generated from it. The
// package is data: it imports nothing of the project and does no I/O.
//
// To support a new attribute: decode it in spec, give it to the rooms that act on
// it, and change its line here. A test fails when the table and the decoder differ.
package schema

//go:generate go run ./gen -o ../docs/compat.md -schema compose.schema.json
