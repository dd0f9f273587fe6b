//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Enabled says whether this binary has failpoints.
const Enabled = true

var (
	target, number = parse(os.Getenv("STACK_FAILPOINT"))
	trace          = open(os.Getenv("STACK_FAILPOINT_TRACE"))

	mu   sync.Mutex
	hits = map[string]int{}
)

func parse(s string) (name string, n int) {
	name, count, _ := strings.Cut(s, "#")
	n, err := strconv.Atoi(count)
	if err != nil {
		n = 1
	}
	return name, n
}

func open(path string) *os.File {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic("failpoint: " + err.Error()) // the test that asked for it must not go on without
	}
	return f
}

// Hit counts name and kills this process when it is the one that was asked for. SIGKILL, as the kernel's out-of-memory
// killer would: no deferred function, no signal handler, no other thread goes on.
func Hit(name string) {
	mu.Lock()
	defer mu.Unlock()
	hits[name]++
	if trace != nil {
		trace.WriteString(name + "\n") // one write(2), so it is whole when we die now
	}
	if name == target && hits[name] == number {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // with the lock, until the signal has come
	}
}
