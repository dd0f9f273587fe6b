package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// firstSafeFD is above every descriptor that a child of ours starts with, see package proto.
const firstSafeFD = 16

// process is a running child of ours: a monitor, or the parent of an exec.
type process struct {
	identity
	pidfd   *os.File
	reports *reports
}

// spawn starts the init program in mode with bootstrap on its descriptor 3 and a connection for
// Reports on 4. stdio are its 0, 1 and 2; nil = /dev/null.
func (d *Driver) spawn(mode string, bootstrap any, stdio [3]*os.File) (*process, error) {
	boot, err := bootstrapFile(bootstrap)
	if err != nil {
		return nil, err
	}
	defer boot.Close()
	ours, theirs, err := unixPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := devNull()
	if err != nil {
		ours.Close()
		return nil, err
	}
	files := make([]uintptr, 0, 5)
	for _, f := range stdio {
		if f == nil {
			f = null
		}
		files = append(files, f.Fd())
	}
	files = append(files, boot.Fd(), theirs.Fd())

	pidfd := -1
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(int(d.init.Fd())), []string{"stack-init", mode}, &syscall.ProcAttr{
		Dir:   "/",
		Files: files,
		// A session of its own: what a terminal sends to the daemon's process group is not for containers.
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	})
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("cannot start the init program as %s: %w", mode, err)
	}
	id, err := identify(pid)
	if err == nil && pidfd < 0 { // Linux before 5.2 has no CLONE_PIDFD
		err = fmt.Errorf("cannot watch process %d: this kernel has no pidfd", pid)
	}
	if err == nil {
		err = unix.SetNonblock(pidfd, true)
	}
	if err != nil {
		unix.Kill(pid, unix.SIGKILL) // our child, not yet reaped: the pid is its own
		unix.Wait4(pid, nil, 0, nil)
		unix.Close(pidfd)
		ours.Close()
		return nil, err
	}
	return &process{identity: id, pidfd: os.NewFile(uintptr(pidfd), "pidfd:"+strconv.Itoa(pid)), reports: &reports{file: ours}}, nil
}

// wait returns when the process has ended and is reaped.
func (p *process) wait() {
	if awaitEnd(p.pidfd) == nil {
		reapFile(p.pidfd)
	}
}

// close lets go of the handles.
func (p *process) close() {
	p.pidfd.Close()
	p.reports.file.Close()
}

// bootstrapFile holds v as JSON, at its beginning. A memory file and not a pipe: a pipe takes 64 KiB
// and then the writer waits for a reader that may never come.
func bootstrapFile(v any) (*os.File, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the bootstrap: %w", err)
	}
	fd, err := unix.MemfdCreate("bootstrap", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make the bootstrap: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "bootstrap")
	if _, err := f.WriteAt(b, 0); err != nil { // leaves the offset at 0
		f.Close()
		return nil, fmt.Errorf("cannot write the bootstrap: %w", err)
	}
	return f, nil
}

// unixPair is a connection for Reports. Ours is non-blocking, theirs is not.
func unixPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a connection to the init program: socketpair: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "reports"), os.NewFile(uintptr(fds[1]), "reports"), nil
}

// devNull is opened once: every monitor gets it three times.
var devNull = sync.OnceValues(func() (*os.File, error) { return os.OpenFile("/dev/null", os.O_RDWR, 0) })

// reports reads what a child says.
type reports struct{ file *os.File }

// next is the next Report with the descriptors that came along, owned by the caller. io.EOF
// when the other end is closed.
func (r *reports) next() (*proto.Report, []int, error) {
	b := make([]byte, 64<<10)
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, err := r.recv(b, oob)
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:oobn])
	if err != nil {
		return nil, nil, err
	}
	rep := new(proto.Report)
	if flags&unix.MSG_TRUNC != 0 {
		err = fmt.Errorf("a report of more than %d bytes", len(b))
	} else if err = json.Unmarshal(b[:n], rep); err != nil {
		err = fmt.Errorf("cannot read a report %q: %w", b[:n], err)
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return rep, fds, nil
}
