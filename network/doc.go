// Package network connects containers: bridges, network namespaces, veth pairs, addresses, nftables rules, published
// ports, and the DNS server at 127.0.0.11.
//
// Flow: Create makes a network (bridge, addresses, firewall). Setup makes a container's sandbox: a network namespace
// that is bound to a file, one endpoint per network, ports, resolver. Teardown and Delete undo them. Records of what
// was made are below <run>/network, so they disappear with the kernel objects that they describe.
// <state>/sysctls.json, which stays, says which settings of the host were changed. Every verb is idempotent, and
// works on what a crash has left.
//
// The Driver has the verbs on networks; package sandbox has those on sandboxes. They are composed of one package per
// noun: see docs/adr/0077-the-walls-of-the-network.md and docs/adr/0087-sandboxes-apart-from-networks.md. To follow
// one attach, start at network/sandbox/setup.go, then read package cabling, then the medium of the network (package
// media).
//
// Called by reconcile through reconcile/driver. May touch: links, addresses, routes, nftables, the namespaces below
// <run>/netns, sockets of the host's ports, settings below /proc/sys/net. It never imports spec, reconcile, runtime,
// image or volume.
package network
