package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/runtime/child"
)

const (
	littleSpace = 1 << 30   // bytes: an image or two
	noSpace     = 100 << 20 // bytes
	enoughFiles = 65536     // for some thousand containers
)

// checkRootDir looks at the filesystem that a root is on, or will be. The state root holds overlay's upper directories.
func checkRootDir(name, dir string, upper bool) doctor.Check {
	at := dir
	for {
		if _, err := os.Stat(at); err == nil || at == "/" {
			break
		}
		at = filepath.Dir(at)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return missing(name, "choose another with --state-root or --run-root", "%s: %v", at, err)
	}
	// An upper directory needs a filesystem with trusted xattrs and d_type, which overlayfs itself is not:
	// https://docs.kernel.org/6.1/filesystems/overlayfs.html#upper-and-lower
	if upper && st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return missing(name, "choose a directory on a disk or tmpfs with --state-root (in a container: a volume)", "%s is on overlayfs, which cannot hold another's upper directories", dir)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return missing(name, "remount it read-write, or choose another directory", "%s is read-only", dir)
	}
	if upper && st.Flags&unix.ST_NOEXEC != 0 {
		return warning(name, "mount it without noexec, or choose another directory", "%s is mounted noexec: the daemon's program runs from memory, some 20 MiB more", dir)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	const fix = "free some space, or choose another directory"
	switch {
	case free < noSpace && upper:
		return missing(name, fix, "%s has %s free", dir, gigabytes(free))
	case free < littleSpace && upper:
		return warning(name, fix, "%s has %s free", dir, gigabytes(free))
	}
	if st.Files > 0 && st.Ffree < 10_000 && upper {
		return warning(name, "remove files, or choose another directory", "%s has %d inodes free", dir, st.Ffree)
	}
	return ok(name, "%s: %s free", dir, gigabytes(free))
}

func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }

// checkOpenFiles looks at the limit of this process, which a daemon that is started from here has too.
func checkOpenFiles() doctor.Check {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return warning("open files", "", "getrlimit: %v", err)
	}
	if limit.Max < child.LeastFiles {
		return missing("open files", fmt.Sprintf("run `ulimit -Hn %d` as root or log in with a higher limit, and give a service LimitNOFILE=", enoughFiles),
			"a process may have %d at once (RLIMIT_NOFILE), and the daemon takes at least %d", limit.Max, child.LeastFiles)
	}
	return ok("open files", "a process may have %d at once", limit.Max)
}

// checkInotify: programs in containers that watch files share the host's limits.
func checkInotify() doctor.Check {
	least := []struct {
		key string
		n   int
	}{{"max_user_watches", 65536}, {"max_user_instances", 128}}
	var have []string
	for _, l := range least {
		text, err := os.ReadFile("/proc/sys/fs/inotify/" + l.key)
		n, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || convErr != nil {
			continue
		}
		if n < l.n {
			return warning("inotify", fmt.Sprintf("run `sysctl -w fs.inotify.%s=%d`", l.key, l.n*4), "%s is %d: programs that watch files may fail", l.key, n)
		}
		have = append(have, fmt.Sprintf("%s %d", l.key, n))
	}
	return ok("inotify", "%s", strings.Join(have, ", "))
}
