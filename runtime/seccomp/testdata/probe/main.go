// Command probe loads the filter in the file of its first argument and prints what the kernel answers to
// some calls, one "name errno" a line. Built for amd64 it calls socket(2); built for 386, Go's own
// syscall package goes through socketcall(2), so both ways are seen.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	prog, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if len(prog) > 0 {
		fprog := unix.SockFprog{Len: uint16(len(prog) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
		if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog))); errno != 0 {
			fmt.Println("load:", errno)
			os.Exit(1)
		}
	}
	say := func(name string, err error) {
		errno, _ := err.(syscall.Errno)
		fmt.Println(name, int(errno))
	}
	socket := func(family int) error {
		fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
		if err == nil {
			syscall.Close(fd)
		}
		return err
	}
	for _, family := range []int{1, 2, 10, 16, 38, 39, 40} {
		say(fmt.Sprint("socket-", family), socket(family))
	}
	direct := func(nr, a uintptr) error {
		r, _, errno := syscall.RawSyscall(nr, a, syscall.SOCK_STREAM, 0)
		if errno != 0 {
			return errno
		}
		syscall.Close(int(r))
		return nil
	}
	for _, family := range []uintptr{2, 38} {
		say(fmt.Sprint("direct-", family), direct(unix.SYS_SOCKET, family))
	}
	say("stat", syscall.Stat("/", new(syscall.Stat_t)))
	say("unshare-newuser", unix.Unshare(unix.CLONE_NEWUSER))
	_, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
	say("clone3", errno)
	_, _, errno = syscall.RawSyscall(900, 0, 0, 0)
	say("future", errno)
}
