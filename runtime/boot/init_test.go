package boot

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOverAfterRefuse: the hang-up of the daemon and the word of the init that it executes may come at once. The init is on its way still then, in the monitor's memory, and
// it is over when it is not: Close takes its stack away.
func TestOverAfterRefuse(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := &Init{socket: pair[0], theirs: -1, tty: -1, last: new(script)}
	defer i.Close()
	word := make([]byte, wordSize)
	binary.NativeEndian.PutUint64(word, wordExecutes)
	if _, err := unix.Write(pair[1], word); err != nil {
		t.Fatal(err)
	}
	i.Refuse()
	if w := i.Next(); !w.Executes {
		t.Fatalf("what was said before is lost: %+v", w)
	}
	var executed atomic.Bool
	go func() {
		executed.Store(true)
		unix.Close(pair[1])
	}()
	if w := i.Next(); !w.Over || !executed.Load() {
		t.Errorf("%+v, and the init has executed: %v", w, executed.Load())
	}
}
