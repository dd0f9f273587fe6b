package boot

import (
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// EnterMain is mode enter: the process of an exec. Its parent cloned it into the container's namespaces and root,
// so it does the last stretch only. It returns only when the process could not be started, and has reported why.
//
// Preconditions: locked main thread; root and namespaces are the container's.
func EnterMain() int {
	prepareProcess()
	raw, err := mapBootstrap()
	if err != nil {
		return failed(err)
	}
	b, err := proto.DecodeExec(raw)
	if err != nil {
		return failed(fault("bootstrap", "", "", err))
	}
	if err := enter(b); err != nil {
		return failed(err)
	}
	return 0
}

func enter(b *proto.ExecBootstrap) error {
	p := &b.Process
	if len(p.Args) == 0 {
		return refuse("spec", "process.args", "there is no program to run")
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault("root", "open", "/", err)
	}
	who, err := resolveUser(root, p.User, b.Groups)
	if err != nil {
		return err
	}
	tty := -1
	if p.Terminal {
		if tty, err = openTerminal(root, who, p.ConsoleSize); err != nil {
			return err
		}
	}
	cwd, err := openWorkingDir(root, p.Cwd)
	if err != nil {
		return err
	}
	x := execution{process: p, who: who, tty: tty, cwd: cwd, pid1: -1, seccomp: b.Seccomp, late: true, pids: proto.FDPids}
	return x.run()
}
