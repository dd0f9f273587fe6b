package monitor

import (
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// stepActions are what the parent of boot does at its steps.
type stepActions struct {
	terminal func(master int)
	ready    func() *proto.Failure
	died     func() *proto.Failure // it ended without a word
}

// followSteps reads until the socket closes, which is at execve or at the process's death. Warnings go on to the daemon. When that
// hangs up first the process is killed: nobody would know of it. One that has said that it executes is not, for its program may have begun, and to
// undo that would be to have it run twice.
func followSteps(fd int, p *process, do stepActions) *proto.Failure {
	executing, hungUp, path := false, false, ""
	for {
		if !executing && !hungUp && !awaitStep(fd) {
			// From here on the process cannot say that it executes, and so does not. What it has said before is read still.
			hungUp = true
			_ = unix.Shutdown(fd, unix.SHUT_RD)
		}
		var s proto.Step
		files, err := proto.Receive(fd, &s)
		switch {
		case err == nil:
		case executing:
			return nil
		case hungUp:
			p.kill()
			<-p.ended
			return unheard()
		default:
			return do.died()
		}
		if len(files) > 0 && s.Type != proto.StepPTY {
			for _, f := range files {
				unix.Close(f)
			}
		}
		switch {
		case s.Type == proto.StepWarning:
			_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportWarning, Note: s.Note})
		case s.Type == proto.StepPTY && len(files) == 1:
			do.terminal(files[0])
		case s.Type == proto.StepReady && do.ready != nil:
			if f := do.ready(); f != nil {
				return f
			}
		case s.Type == proto.StepExec:
			executing, path = true, s.Note
		case s.Type == proto.StepInit && executing:
			<-p.ended
			return s.InitFailure(path)
		case s.Type == proto.StepFailed && s.Failure != nil:
			<-p.ended
			return s.Failure
		default:
			p.kill()
			<-p.ended
			return &proto.Failure{Stage: "boot", Detail: "unexpected step \"" + string(s.Type) + "\"", ExitCode: 125}
		}
	}
}

// awaitStep waits for a step, or the end of steps; false when the daemon has hung up before.
func awaitStep(steps int) bool {
	p := []unix.PollFd{{Fd: int32(steps), Events: unix.POLLIN}, {Fd: proto.FDReport, Events: unix.POLLRDHUP}}
	for {
		_, err := unix.Poll(p, -1)
		switch {
		case err == unix.EINTR:
		case err != nil, p[0].Revents != 0: // a fault shows in the read that follows
			return true
		case p[1].Revents != 0:
			return false
		}
	}
}
