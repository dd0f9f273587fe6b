// Package testimage makes the images that tests run real software from: PostgreSQL, Redis, nginx,
// Python and busybox, under the names that Compose files use, out of Debian's packages. No image registry is
// asked.
//
// Flow: a Recipe names packages and files; apt (with a state directory of its own: the host's package
// database is neither read nor written) resolves and downloads what they need from a Debian mirror; the packages' tar
// streams become layers, without dpkg's scripts and without root; an OCI layout of all images lies in a cache
// directory, keyed by the hash of the recipes. Tests serve it with internal/registry.
//
// `make testimages` builds, `make test` does so too. Dir and Require are for tests.
package testimage
