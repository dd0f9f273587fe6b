// Package rootfs reads and writes the root file system of a step of a build from outside, without running anything in it.
//
// A root is an overlay that is mounted and attached nowhere, so that no other process sees it and nothing is left of it when this one is killed; or a
// directory of the host, for a build's context. Its content is hostile: a path is walked one element at a time below the
// root's descriptor, links mean what they mean inside, and what is then opened, made or removed is named relative to a descriptor and not followed.
//
// Called by build. Touches what it is given and nothing else.
package rootfs
