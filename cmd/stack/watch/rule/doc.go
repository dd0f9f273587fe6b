// Package rule decides what follows a change: which rules of develop.watch a file concerns, where it goes in the container, and what is done
// for a service about a whole batch of changes. It reads no file and no clock.
package rule
