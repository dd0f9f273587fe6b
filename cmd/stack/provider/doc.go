// Package provider runs the programs that stand for services: docker CLI plugins and programs in PATH that speak docker compose's protocol
// for providers, and docker's plugin for models. They run as the user, with the user's environment; the daemon runs none.
//
//	find.go      where a program is
//	metadata.go  what it says of its options
//	run.go       one run of it, and what it says meanwhile
package provider
