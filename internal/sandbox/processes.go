package sandbox

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// process is one line of /proc.
type process struct {
	pid, parent int
	args        string
}

// processes are those of this pid namespace, "pid arguments" each.
func processes() ([]string, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := map[int]process{}
	parents := map[int]bool{}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + d.Name() + "/stat")
		if err != nil {
			continue // it has just ended
		}
		cmd, err := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		if err != nil {
			continue
		}
		p := process{pid: pid, args: strings.ReplaceAll(strings.TrimRight(string(cmd), "\x00"), "\x00", " ")}
		if i := strings.LastIndexByte(string(stat), ')'); i > 0 {
			if f := strings.Fields(string(stat[i+1:])); len(f) > 1 {
				p.parent, _ = strconv.Atoi(f[1])
			}
		}
		if p.parent == 0 && pid != 1 {
			continue // a kernel thread, or one whose parent is outside
		}
		all[pid], parents[p.parent] = p, true
	}
	var out []string
	for pid, p := range all {
		if p.args == "stack-init monitor" && !parents[pid] && isDaemon(all[p.parent]) {
			continue // the one that a daemon keeps for its next start, and that ends with it: another one each time
		}
		if isDaemon(p) && p.args == all[p.parent].args && !parents[pid] {
			continue // the same one a moment earlier: a child of the daemon before its execve
		}
		out = append(out, strconv.Itoa(pid)+" "+p.args)
	}
	return out, nil
}

func isDaemon(p process) bool {
	f := strings.Fields(p.args)
	return len(f) > 1 && slices.Contains(f[1:], "daemon")
}
