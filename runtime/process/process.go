package process

import (
	"fmt"
	"io"
	"syscall"
	"time"
)

// ProcessInfo is one process of a container, as ps sees it from where the daemon is: with its ids there.
type Info struct {
	Pid       int           `json:"pid"`
	PPid      int           `json:"ppid"`
	UID       int           `json:"uid"`            // effective
	State     string        `json:"state"`          // the kernel's letter: R, S, D, Z, …
	TTY       string        `json:"tty,omitempty"`  // "pts/0"; "" = none
	CPU       time.Duration `json:"cpu"`            // of all its threads
	StartedAt time.Time     `json:"startedAt"`      // to a hundredth of a second
	Name      string        `json:"name"`           // of its program, 15 bytes at most
	Args      []string      `json:"args,omitempty"` // none of a zombie; of long ones the beginning, with "…" at its end
}

// Exit is how a process ended.
type Exit struct {
	Code       int       `json:"code"` // 0-255; 128+n when killed by signal n; 125-127 as users of docker know them
	Signal     int       `json:"signal,omitempty"`
	OOM        bool      `json:"oom,omitempty"`
	StartedAt  time.Time `json:"startedAt,omitzero"` // of a container; zero: its program did not begin, or an earlier version wrote this
	FinishedAt time.Time `json:"finishedAt"`
	Error      string    `json:"error,omitempty"` // why the process could not be started, when it could not
	// Unseen: nobody saw the process end. Its monitor was killed, and the process with it, or the host went down: Code and Signal are not its
	// own doing, and Error says which.
	Unseen bool `json:"unseen,omitempty"`
}

// Ended says for people how a process has ended: "exited with code 1". The arguments are fields of Exit.
func Ended(code int, oom bool, failure string) string {
	text := fmt.Sprintf("exited with code %d", code)
	switch {
	case oom && code == 128+int(syscall.SIGKILL):
		text += " (killed because it was out of memory)"
	case oom: // it has outlived that, and ended in its own way
		text += " (a process of it was killed because it was out of memory)"
	}
	if failure != "" {
		text += " (" + failure + ")"
	}
	return text
}

// IO is the caller's end of a process's streams. nil Stdin = /dev/null. With a
// terminal, Stdout carries everything. Resize may be nil.
type IO struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Resize <-chan WinSize
	// Signals are sent to the process as they come; may be nil.
	Signals <-chan syscall.Signal
}

type WinSize struct{ Rows, Cols uint16 }
