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
	// Not for processes of the container to look into while it still has power that they have not (CVE-2016-9962).
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	prepareProcess()
	var b proto.ExecBootstrap
	if err := receiveBootstrap(&b); err != nil {
		return failed(err)
	}
	return failed(enter(&b))
}

func enter(b *proto.ExecBootstrap) error {
	p := &b.Process
	if len(p.Args) == 0 {
		return refuse("spec", "process.args", "there is no program to run")
	}
	if err := unsupportedProcess(p); err != nil {
		return err
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
	cwd, err := makeWorkingDir(root, p.Cwd)
	if err != nil {
		return err
	}
	x := execution{process: p, who: who, tty: tty, cwd: cwd, init: -1, seccomp: b.Seccomp}
	return x.run()
}
