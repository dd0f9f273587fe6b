// Package logs is the log of a container: the line, the file that rotates, and reading both back.
//
// The line is Kubernetes' CRI format, so that every log collector for it understands ours:
//
//	2026-01-02T15:04:05.999999999Z stdout F text
//
// Writer is used by the monitor, one for each container; Read by the daemon. They share nothing but the
// files: <path>, and <path>.1 (younger) to <path>.n (oldest). Both are linked into the small init program's
// package list, so this package imports x/sys/unix and the standard library only.
package logs
