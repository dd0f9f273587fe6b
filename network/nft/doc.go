// Package nft is one instance's firewall: an nftables table `stack-<instance>` of the inet family in the host's
// network namespace, and a small table for DNS in each container's.
//
// The rules never change. What does are the elements of the sets and maps that they look in: a network adds its
// bridge to some sets, a published port adds one or two elements to a map, so that the thousandth
// port costs what the first did, to install and per packet.
//
//	set bridges   every bridge of ours          set internal   those without a way in or out
//	set masq      those masqueraded outwards    set same       pairs (b, b): bridged traffic under br_netfilter
//	map forward4, forward6          addr . proto . port → addr . port      published on one address
//	map forward4any, forward6any    proto . port → addr . port             published on all
//	set self4, self6                addr . addr of containers with ports, for those that call themselves
//	set guests4, guests6            bridge . addr of containers outside of the bridge's subnets
//
// Needs Linux 5.7: only since then does the postrouting hook know the interface that a packet came in by
// (commit 28f8bfd1ac94).
package nft
