package identity

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Signal sends sig by pidfd. A process that has ended = success.
func Signal(pidfd *os.File, sig unix.Signal) error {
	c, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := c.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if serr == unix.ESRCH {
		return nil
	}
	return serr
}

// Send is Signal for a process by its identity. A process that has ended = success.
func (p Process) Send(sig unix.Signal) error {
	f, err := p.Open()
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return Signal(f, sig)
}

// Interrupt sends sig to the process group that p leads, as a terminal's Ctrl-C does: a shell without job control waits for
// the program that it runs. A process that has ended = success.
func (p Process) Interrupt(sig unix.Signal) error {
	f, err := p.Open()
	if err == ErrGone {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := c.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) }); err != nil {
		return err
	}
	switch serr {
	case unix.ESRCH:
		return nil
	case unix.EINVAL:
		// Before Linux 6.9 a group has only its number, its leader's pid. That stays taken until the leader is reaped and the last
		// member gone, and Open has just seen the leader: for another group to get the signal, all of that and a round
		// through every pid would have to happen between these system calls.
		if err := unix.Kill(-p.Pid, sig); err != unix.ESRCH {
			return err
		}
		return nil
	}
	return serr
}
