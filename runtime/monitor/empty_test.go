package monitor_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/thread"
	"github.com/stackrun/stack/runtime/proto"
)

// Who gets below a container's root finds nothing of the host, and nothing that he could write to, where other containers might find it.
func TestNothingIsBelowTheRoot(t *testing.T) {
	c := newContainer(t, image(t), "exec sleep 1000")
	c.start()
	status := c.await(proto.ReportStarted).Status
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", status.Pid))
	must(t, err)
	defer ns.Close()
	must(t, thread.Apart(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		enter := func() error { return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS) } // to what is on top
		if err := enter(); err != nil {
			return err
		}
		if _, err := os.Stat("/bin/busybox"); err != nil {
			return fmt.Errorf("this is not the container's root: %w", err)
		}
		if err := unix.Unmount("/", unix.MNT_DETACH); err != nil {
			return err
		}
		if err := enter(); err != nil {
			return err
		}
		found, err := os.ReadDir("/")
		if err != nil || len(found) > 0 {
			return fmt.Errorf("below the root there is %v, %v", found, err)
		}
		if err := os.Mkdir("/x", 0o700); !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("a directory can be made below the root: %v", err)
		}
		return nil
	}))
}
