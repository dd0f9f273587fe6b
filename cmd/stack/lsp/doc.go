// Package lsp is a language server for Compose files: it speaks the Language Server Protocol 3.17 over
// a pair of streams, and asks spec and spec/editor for what it tells. It writes nothing but its answers.
//
//	wire.go       messages on the streams
//	protocol.go   the parts of the protocol's vocabulary that are used
//	server.go     one message after another
//	project.go    which project a document belongs to, with what is open and not saved
//	answers.go    diagnostics, completion, hover
package lsp
