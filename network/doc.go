// Package network connects containers: bridges, network namespaces, veth pairs, addresses, nftables
// rules, published ports, and the DNS server at 127.0.0.11.
//
// Flow: Create makes a network (bridge, addresses, firewall); Setup makes a container's sandbox (a
// network namespace bound to a file, an endpoint per network, ports, resolver); Teardown and Delete
// undo them. Records of what was made are below <run>/network, so they die with the kernel objects that they
// describe; which settings of the host were changed is in <state>/sysctls.json, which outlives them. Every verb is idempotent and works on what a crash left.
//
// The Driver is the door, and the verbs on networks; those on sandboxes are package sandbox's. What they are made of is a package for each noun, which compose puts together and
// docs/adr/0077-the-walls-of-the-network.md and docs/adr/0087-sandboxes-apart-from-networks.md list. One attach is read from network/sandbox/setup.go by package cabling to the
// medium of the network (package media).
//
// Called by reconcile through reconcile/driver. May touch: links, addresses, routes, nftables, the namespaces
// below <run>/netns, sockets of the host's ports. It never imports spec, reconcile, runtime, image or volume.
package network
