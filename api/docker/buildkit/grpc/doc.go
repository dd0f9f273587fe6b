// Package grpc makes and answers calls of gRPC over one connection, with the HTTP/2 that net/http has: messages are bytes, and what they mean is for others. It is
// the little that BuildKit's clients need (ADR 80 says why it is no library): calls and streams without compression, deadlines that the caller keeps by itself.
//
// Source: https://github.com/grpc/grpc/blob/v1.76.0/doc/PROTOCOL-HTTP2.md
//
// Called by api/docker/buildkit and the packages below it. May touch: the connection that it is given.
package grpc
