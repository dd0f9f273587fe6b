package boot

import (
	"errors"
	"syscall"

	"github.com/stackrun/stack/runtime/proto"
)

// fault makes the Failure of a system call that did not do its work.
func fault(stage, call, path string, err error) error {
	f := &proto.Failure{Stage: stage, Syscall: call, Path: path, ExitCode: proto.ExitPlatform}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		f.Errno = errno
	} else if err != nil {
		f.Detail = err.Error()
	}
	return f
}

// refuse makes the Failure of a value that boot does not accept. detail says why and what would be accepted.
func refuse(stage, path, detail string) error {
	return &proto.Failure{Stage: stage, Path: path, Detail: detail, ExitCode: proto.ExitPlatform}
}

// explain adds detail to a Failure that has none, for an errno that alone would not help its reader.
func explain(err error, detail string) error {
	var f *proto.Failure
	if errors.As(err, &f) && f.Detail == "" {
		f.Detail = detail
	}
	return err
}

// AsFailure is what the report carries.
func AsFailure(err error) *proto.Failure {
	var f *proto.Failure
	if errors.As(err, &f) {
		return f
	}
	return &proto.Failure{Stage: "boot", Detail: err.Error(), ExitCode: proto.ExitPlatform}
}
