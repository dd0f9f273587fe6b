package boot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxDatabase bounds /etc/passwd and /etc/group, which the image writes: 1 MiB is some 15,000 users
// (CVE-2024-9676: a link to /dev/zero must not eat the host's memory).
const maxDatabase = 1 << 20

// identity is who the process runs as.
type identity struct {
	uid, gid int
	groups   []int // supplementary, with gid
	home     string
	umask    int
}

// resolveUser finds out who u means in the container's own files. groups are further groups, names or numbers.
func resolveUser(self descriptors, root int, u specs.User, groups []string) (identity, error) {
	passwd, err := readDatabase(self, root, "etc/passwd")
	if err != nil {
		return identity{}, err
	}
	group, err := readDatabase(self, root, "etc/group")
	if err != nil {
		return identity{}, err
	}
	who, err := identify(u, groups, passwd, group)
	if err != nil {
		return identity{}, refuse("user", u.Username, err.Error())
	}
	return who, nil
}

// readDatabase reads a small regular file of the image. One that is not there is empty.
func readDatabase(self descriptors, root int, path string) ([]byte, error) {
	look, err := openat2(root, path, unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil, nil
	}
	if err != nil {
		return nil, fault("user", "openat2", "/"+path, err)
	}
	defer unix.Close(look)
	var st unix.Stat_t
	if err := unix.Fstat(look, &st); err != nil {
		return nil, fault("user", "fstat", "/"+path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, refuse("user", "/"+path, "expected a regular file")
	}
	if st.Size > maxDatabase {
		return nil, refuse("user", "/"+path, fmt.Sprintf("it has %d bytes; at most %d are read", st.Size, maxDatabase))
	}
	fd, err := self.open(look, unix.O_RDONLY|unix.O_NONBLOCK) // lest a lease keep us waiting
	if err != nil {
		return nil, fault("user", "open", "/"+path, err)
	}
	defer unix.Close(fd)
	b := make([]byte, st.Size)
	for n := 0; n < len(b); {
		m, err := unix.Read(fd, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fault("user", "read", "/"+path, err)
		}
		if m == 0 {
			return b[:n], nil
		}
		n += m
	}
	return b, nil
}

type account struct {
	name     string
	uid, gid int
	home     string
}

// identify is the pure part: docker's rules for "name", "name:group", "uid", "uid:gid" and "".
//
//   - a number need not be in the files; its group is then 0
//   - with no group given, the supplementary groups are those that list the user's name
//   - with a group given, they are not
func identify(u specs.User, more []string, passwd, group []byte) (identity, error) {
	who := identity{uid: int(u.UID), gid: int(u.GID), home: "/", umask: 0o022}
	if u.Umask != nil {
		who.umask = int(*u.Umask)
	}
	name, groupName, hasGroup := strings.Cut(u.Username, ":")
	if hasGroup && name == "" { // ":group"
		who.uid = 0
	}
	acct, found, err := findAccount(passwd, name, who.uid, name == "")
	if err != nil {
		return who, err
	}
	if found && acct.home != "" {
		who.home = acct.home
	}
	if u.Username == "" {
		for _, g := range u.AdditionalGids {
			who.groups = append(who.groups, int(g))
		}
	} else if err := who.byName(name, acct, found); err != nil {
		return who, err
	}
	if hasGroup && groupName != "" {
		if who.gid, err = findGroup(group, groupName); err != nil {
			return who, err
		}
	} else if found && (u.Username != "" || u.UID == 0 && u.GID == 0 && len(u.AdditionalGids) == 0) {
		who.groups = append(who.groups, groupsOf(group, acct.name)...)
	}
	for _, g := range more {
		gid, err := findGroup(group, g)
		if err != nil {
			return who, err
		}
		who.groups = append(who.groups, gid)
	}
	// The primary group is a supplementary one too, so that dropping it by setgid does not get
	// round "group has no access" permissions (CVE-2022-36109).
	who.groups = append(who.groups, who.gid)
	slices.Sort(who.groups)
	who.groups = slices.Compact(who.groups)
	return who, nil
}

func (who *identity) byName(name string, acct account, found bool) error {
	if found {
		who.uid, who.gid = acct.uid, acct.gid
		return nil
	}
	if name == "" { // ":group"
		who.uid, who.gid = 0, 0
		return nil
	}
	uid, err := parseID(name)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("user id %s is out of range: 0 to %d", name, math.MaxInt32)
		}
		return fmt.Errorf("there is no user %q in the container's /etc/passwd", name)
	}
	who.uid, who.gid = uid, 0
	return nil
}

// findAccount looks for a name, for the number that name is, or by uid alone.
func findAccount(passwd []byte, name string, uid int, byUID bool) (account, bool, error) {
	id, idErr := parseID(name)
	if byUID {
		id, idErr = uid, nil
	}
	var numeric account
	found := false
	err := eachLine(passwd, func(f []string) bool {
		if len(f) < 4 {
			return true
		}
		u, err1 := parseID(f[2])
		g, err2 := parseID(f[3])
		if err1 != nil || err2 != nil {
			return true
		}
		a := account{name: f[0], uid: u, gid: g}
		if len(f) > 5 {
			a.home = f[5]
		}
		if !byUID && name != "" && f[0] == name { // a name of digits wins over the number
			numeric, found = a, true
			return false
		}
		if !found && idErr == nil && u == id {
			numeric, found = a, true
			return !byUID
		}
		return true
	})
	return numeric, found, err
}

func findGroup(group []byte, name string) (int, error) {
	gid, found := 0, false
	err := eachLine(group, func(f []string) bool {
		if len(f) >= 3 && f[0] == name {
			if g, err := parseID(f[2]); err == nil {
				gid, found = g, true
				return false
			}
		}
		return true
	})
	if err != nil || found {
		return gid, err
	}
	if gid, err = parseID(name); err != nil {
		return 0, fmt.Errorf("there is no group %q in the container's /etc/group", name)
	}
	return gid, nil
}

// groupsOf are the groups that list user as a member.
func groupsOf(group []byte, user string) []int {
	var gids []int
	_ = eachLine(group, func(f []string) bool {
		if len(f) >= 4 && slices.Contains(strings.Split(f[3], ","), user) {
			if g, err := parseID(f[2]); err == nil {
				gids = append(gids, g)
			}
		}
		return true
	})
	return gids
}

// eachLine calls f with the fields of each line of passwd(5) or group(5) until it returns false.
func eachLine(b []byte, f func([]string) bool) error {
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxDatabase)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if !f(strings.Split(line, ":")) {
			return nil
		}
	}
	return lines.Err()
}

// parseID reads a uid or gid. -1 (0xffffffff) means "do not change" to setresuid(2), so it is none.
func parseID(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}
