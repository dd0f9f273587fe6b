// Package forward sends the logs of containers whose logging driver says so. Each has a feed, which follows the log on this host and keeps below the container's record how far its receiver
// has it. The engine says when a container starts, has ended and goes; the receivers' protocols are below internal/logdriver. See docs/adr/0093-logs-that-are-sent.md.
package forward
