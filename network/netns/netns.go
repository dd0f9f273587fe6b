// Package netns makes, keeps and enters network namespaces. Every entry happens on a
// thread of its own that is thrown away afterwards: setns(2) and unshare(2) act on the calling thread
// alone, and a thread that could not be brought back must never run other code.
package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/thread"
)

const self = "/proc/thread-self/ns/net"

// Make makes a namespace, runs inside in it and then binds it to path. A namespace that is bound has
// therefore been through all of inside; when inside fails, or the process dies in it, the kernel drops
// the namespace with everything that was put there.
//
// inside runs on a locked thread in the new namespace and gets an fd of it, valid during the call.
// path's directory must exist; path must not be a bound namespace.
func Make(path string, inside func(fd int) error) error {
	return thread.Apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot make a network namespace: %w", err)
		}
		ns, err := os.Open(self)
		if err != nil {
			return fmt.Errorf("cannot open the new network namespace: %w", err)
		}
		defer ns.Close()
		if err := inside(int(ns.Fd())); err != nil {
			return err
		}
		return bind(self, path)
	})
}

// Bind binds the namespace that from is (a file of nsfs, or a /proc/PID/ns/net) to path, in place of what is there. Whoever keeps
// from open keeps it the same namespace.
func Bind(from *os.File, path string) error {
	if err := Unbind(path); err != nil {
		return err
	}
	return bind(fmt.Sprintf("/proc/self/fd/%d", from.Fd()), path)
}

func bind(from, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW, 0o444)
	if err != nil {
		return fmt.Errorf("cannot keep the network namespace: %w", err)
	}
	f.Close()
	if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
		os.Remove(path)
		return fmt.Errorf("cannot keep the network namespace at %s: %w", path, err)
	}
	return nil
}

// Do runs inside in the namespace bound to path, on a locked thread.
func Do(path string, inside func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot enter the network namespace: %w", err)
	}
	defer ns.Close()
	return In(ns, inside)
}

// In runs inside in the namespace that ns is, on a locked thread.
func In(ns *os.File, inside func() error) error {
	return thread.Apart(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot enter the network namespace %s: %w", ns.Name(), err)
		}
		return inside()
	})
}

// Bound says whether path is a bound namespace: a file on nsfs, not the empty file that a crash or a
// reboot leaves.
func Bound(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// Unbind gives up the namespace at path. The kernel removes it and its links in the background once no process and no other
// mount holds it. Nothing at path is success.
func Unbind(path string) error {
	for Bound(path) { // a crash between two Makes may have stacked mounts
		if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("cannot unmount the network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Inode tells the namespace at path from others within one boot; 0 when path is not one.
func Inode(path string) uint64 {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs(path, &fs) != nil || fs.Type != unix.NSFS_MAGIC || unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// Identity is the inode number of the calling process's network namespace, which tells two apart within
// one boot.
func Identity() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(self, &st); err != nil {
		return 0, fmt.Errorf("cannot read the network namespace: %w", err)
	}
	return st.Ino, nil
}
