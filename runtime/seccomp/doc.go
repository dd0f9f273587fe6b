// Package seccomp turns a seccomp profile into the BPF program that boot loads before execve.
//
//	Default        Docker's profile for given capabilities and this kernel, less socketcall(SYS_SOCKET)
//	Builtin        Docker's profile as it is
//	Load           a user's own, as the runtime-spec has it
//	Compile        any of them as struct sock_filter[]: architectures told apart, numbers searched as a binary tree, arguments
//	               compared as 64 bits
//
// The profile is Docker's (package github.com/moby/profiles/seccomp, as data), with one difference
// that Default describes (docs/adr/0030-socketcall.md). The assembler is our own: no libseccomp, no cgo.
//
// https://docs.kernel.org/userspace-api/seccomp_filter.html
package seccomp
