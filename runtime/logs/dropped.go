package logs

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// droppedName is the file that says how many bytes of lines rotation has removed from the log for good.
func (d *dir) droppedName() string { return d.name + ".dropped" }

// dropped is 0 also when it cannot be known.
func (d *dir) dropped() int64 {
	f, err := d.open(d.droppedName(), unix.O_RDONLY)
	if err != nil {
		return 0
	}
	defer f.Close()
	var b [32]byte
	n, _ := f.Read(b[:])
	count, err := strconv.ParseInt(strings.TrimSpace(string(b[:n])), 10, 64)
	if err != nil {
		return 0
	}
	return count
}

// setDropped is of one write of always the same length: whoever reads meanwhile sees the old number or the new. That it fails has no other
// consequence than a warning that is not given.
func (d *dir) setDropped(n int64) {
	f, err := d.open(d.droppedName(), os.O_WRONLY|unix.O_CREAT)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = fmt.Fprintf(f, "%020d\n", n)
}

// size of a file of the directory; 0 when it is not there.
func (d *dir) size(name string) int64 {
	var st unix.Stat_t
	if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return 0
	}
	return st.Size
}

// overtakenNotice is what a reader is told in the middle.
func overtakenNotice(n int64) string {
	return fmt.Sprintf("lines are missing here, %d bytes: the limit of this log has dropped them before they were read", n)
}

// droppedNotice is what a reader is told.
func droppedNotice(n int64) string {
	return fmt.Sprintf("older lines are missing, %d bytes: they were dropped by the limit of this log (logging options max-size and max-file)", n)
}
