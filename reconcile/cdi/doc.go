// Package cdi reads what vendors say of their devices, in the files of the Container Device Interface, and finds in them what a
// service asks for: nodes, mounts and variables that a container gets.
// https://github.com/cncf-tags/container-device-interface/blob/v1.0.0/SPEC.md
//
// The files are the vendor's and root's, below /etc and /run; they are believed. What they can say and is not done here, hooks before all,
// is refused by name: a device without it would look as if it worked.
package cdi
