// Package testimage makes the images that tests run real software from: PostgreSQL, Redis, nginx,
// Python and busybox, under the names that Compose files use, out of Debian's packages. No image registry is
// asked.
//
// Flow: a Recipe names packages and files; internal/apt downloads what they need; the packages' tar
// streams become layers, without dpkg's scripts and without root; an OCI layout of all images lies in a cache
// directory, keyed by the machine that they are for and the hash of the recipes. Tests serve it with internal/registry.
//
// `make testimages` builds, `make test` does so too. Dir and Require are for tests.
package testimage
