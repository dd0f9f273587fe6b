// Package bundle turns what a container is to be (plan.Spec) and the image's configuration into the values that the
// runtime takes (runtime.Config, an OCI runtime-spec value and mounts). It is pure: it reads no file, no clock, no
// environment; what it needs of the host is handed to it in Input and Net.
//
// Two steps, because a container is created before it has a network:
//
//	New      at create: process, user, capabilities, limits, mounts, labels
//	Connect  at each start: namespaces to join, /etc/hosts, /etc/hostname, /etc/resolv.conf
package bundle
