package sandbox

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/roots"
)

// process is one line of /proc.
type process struct {
	pid, parent int
	args        string
}

// processes are those of this pid namespace, "pid arguments" each, and the instances of the daemons among them.
func processes() (list []string, instances map[string]bool, err error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, nil, err
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
	instances = map[string]bool{}
	for pid, p := range all {
		if isDaemon(p) {
			instances[roots.Roots{State: option(p, "--state-root"), Run: option(p, "--run-root")}.Instance()] = true
		}
		if p.args == "stack-init monitor" && !parents[pid] && isDaemon(all[p.parent]) {
			continue // the one that a daemon keeps for its next start, and that ends with it: another one each time
		}
		if isDaemon(p) && p.args == all[p.parent].args && !parents[pid] {
			continue // the same one a moment earlier: a child of the daemon before its execve
		}
		list = append(list, strconv.Itoa(pid)+" "+p.args)
	}
	return list, instances, nil
}

func isDaemon(p process) bool {
	f := strings.Fields(p.args)
	return len(f) > 1 && slices.Contains(f[1:], "daemon")
}

// option is what follows name in the arguments of p.
func option(p process, name string) string {
	f := strings.Fields(p.args)
	if i := slices.Index(f, name); i >= 0 && i+1 < len(f) {
		return f[i+1]
	}
	return ""
}
