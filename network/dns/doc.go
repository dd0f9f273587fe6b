// Package dns answers the containers' questions at 127.0.0.11: names and addresses of the containers that
// share a network with the asker from memory, everything else by asking the host's servers.
//
//	Zone        the names of one network; changed by the driver, read by every server of its containers
//	View        what one container sees: its networks' zones, in order, and how to go on from there
//	Server      sockets of one container's namespace that answer from a View
//	Forwarder   the way out: UDP, TCP when the answer is truncated, next server when one is silent
//
// Packets of our own names are read and written by hand (message.go), without allocation or lock: the
// answer is the question, a few bits, and addresses that were laid out when the container came. Forwarded
// packets pass as they are, with another id.
package dns
