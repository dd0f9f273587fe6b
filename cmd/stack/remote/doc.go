// Package remote brings the files that -f, include and extends name by a git or oci:// reference into a cache
// directory, and never writes outside it. It is spec's Fetcher; the network, the git program and the
// registry's credentials are its affair alone.
//
//	fetch.go      what a reference is, the cache
//	reference.go  git references
//	git.go        one commit of a repository, by the git program
//	artifact      docker compose's artifacts of a registry
package remote
