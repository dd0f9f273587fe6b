// Package plan decides what is to be done so that the host becomes what the file says. It is pure: the
// same Desired, Observed and Options give the same Plan, to the byte. It imports no os, net, context, and
// reads no clock; a test holds it to that.
//
//	Desired   what the file asks for, by the names that things have on the host
//	Observed  one snapshot of the host, as plain values
//	Build     both → Plan: Changes (what differs, and why) and Steps (what to do, in which order)
//
// Package apply carries a Plan out. Neither Desired nor Plan points into the spec.
package plan
