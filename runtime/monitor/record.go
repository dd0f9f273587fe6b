package monitor

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
)

// replaceFile replaces path by text: whoever reads sees the old or the new file, whole. There is no fsync: what these files
// say is of processes that do not outlive the kernel either, and it would cost more than the whole start.
func replaceFile(path string, text []byte) error {
	temp := filepath.Dir(path) + "/." + filepath.Base(path) + ".tmp"
	err := writeNew(temp, text)
	if err == nil {
		err = unix.Rename(temp, path)
	}
	if err != nil {
		_ = unix.Unlink(temp)
		return &os.PathError{Op: "replace", Path: path, Err: err}
	}
	return nil
}

// writeNew makes a file, by half the calls of package os: that looks whether it can be waited for.
func writeNew(path string, text []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return rawfd.WriteAll(fd, text)
}

// startTime is field 22 of /proc/pid/stat, in clock ticks since boot: with the pid, an identity. 0 when there is no
// such process.
func startTime(pid int) uint64 {
	b, err := readAt(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/stat")
	if err != nil {
		return 0
	}
	return parseStartTime(b)
}

// readAt reads a small file of the kernel's, by fewer calls than package os: that makes a poller for it.
func readAt(dir int, path string) ([]byte, error) {
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 1024)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return b, nil
		}
		b = b[:len(b)+n]
	}
}

func parseStartTime(stat []byte) uint64 {
	// The second field, the name in parentheses, may hold spaces and parentheses; what follows the last ")" is field 3.
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return n
}
