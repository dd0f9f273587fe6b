package containers

import (
	"fmt"
	"net/http"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/runtime/process"
)

// column is one of top's.
type column struct {
	title string
	value func(p *process.Info, now time.Time) string
}

// columns by the words that ps(1) has for them after -o.
var columns = map[string]column{
	"user":  {"USER", func(p *process.Info, _ time.Time) string { return userName(p.UID) }},
	"uid":   {"UID", func(p *process.Info, _ time.Time) string { return strconv.Itoa(p.UID) }},
	"pid":   {"PID", func(p *process.Info, _ time.Time) string { return strconv.Itoa(p.Pid) }},
	"ppid":  {"PPID", func(p *process.Info, _ time.Time) string { return strconv.Itoa(p.PPid) }},
	"stat":  {"STAT", func(p *process.Info, _ time.Time) string { return p.State }},
	"stime": {"STIME", func(p *process.Info, now time.Time) string { return startTime(p.StartedAt, now) }},
	"start": {"START", func(p *process.Info, now time.Time) string { return startTime(p.StartedAt, now) }},
	"tty":   {"TTY", func(p *process.Info, _ time.Time) string { return terminal(p) }},
	"time":  {"TIME", func(p *process.Info, _ time.Time) string { return cpuTime(p.CPU) }},
	"comm":  {"COMMAND", func(p *process.Info, _ time.Time) string { return p.Name }},
	"args":  {"COMMAND", func(p *process.Info, _ time.Time) string { return commandLine(p) }},
	"cmd":   {"CMD", func(p *process.Info, _ time.Time) string { return commandLine(p) }},
	"c":     {"C", func(p *process.Info, now time.Time) string { return strconv.Itoa(int(share(p, now))) }},
	"pcpu":  {"%CPU", func(p *process.Info, now time.Time) string { return fmt.Sprintf("%.1f", share(p, now)) }},
}

// synonyms are other words of ps(1) for columns.
var synonyms = map[string]string{"command": "args", "euser": "user", "uname": "user", "state": "stat", "s": "stat", "tname": "tty", "start_time": "stime", "%cpu": "pcpu", "ucmd": "comm"}

// full is ps -ef.
var full = []string{"user", "pid", "ppid", "c", "stime", "tty", "time", "cmd"}

// top lists processes with columns as ps has them. It does not execute ps: what of that is not known here is refused.
func (h *handlers) top(w http.ResponseWriter, r *http.Request) error {
	chosen, err := topColumns(r.URL.Query().Get("ps_args"))
	if err != nil {
		return err
	}
	all, err := h.engine.Processes(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out := container.TopResponse{Processes: [][]string{}}
	for _, c := range chosen {
		out.Titles = append(out.Titles, c.title)
	}
	now := time.Now()
	for i := range all {
		var row []string
		for _, c := range chosen {
			row = append(row, c.value(&all[i], now))
		}
		out.Processes = append(out.Processes, row)
	}
	return wire.JSON(w, http.StatusOK, out)
}

func topColumns(args string) ([]column, error) {
	words := strings.Fields(args)
	names := full
	switch {
	case len(words) == 0, len(words) == 1 && (words[0] == "-ef" || words[0] == "ef"):
	case len(words) == 1 && (words[0] == "aux" || words[0] == "-aux"):
		names = []string{"user", "pid", "pcpu", "tty", "stat", "start", "time", "args"}
	default:
		names = nil
		for i := 0; i < len(words); i++ {
			list, ok := strings.CutPrefix(words[i], "-o")
			if ok && list == "" && i+1 < len(words) {
				i++
				list = words[i]
			}
			if list = strings.TrimPrefix(list, "="); !ok || list == "" {
				return nil, cannot("ps_args %q: stack knows -ef, aux, and -o with a list of columns", args)
			}
			names = append(names, strings.Split(list, ",")...)
		}
	}
	var out []column
	for _, name := range names {
		if column, ok := synonyms[name]; ok {
			name = column
		}
		c, ok := columns[name]
		if !ok {
			return nil, cannot("ps_args %q: there is no column %q", args, name)
		}
		out = append(out, c)
	}
	if &names[0] == &full[0] {
		out[0].title = "UID" // as ps -ef calls it
	}
	return out, nil
}

func startTime(t, now time.Time) string {
	if now.Sub(t) < 24*time.Hour {
		return t.Format("15:04")
	}
	return t.Format("Jan02")
}

func terminal(p *process.Info) string {
	if p.TTY == "" {
		return "?"
	}
	return p.TTY
}

func cpuTime(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func commandLine(p *process.Info) string {
	if len(p.Args) == 0 {
		return "[" + p.Name + "]"
	}
	return strings.Join(p.Args, " ")
}

// share is how much of one processor a process has had since its start, percent.
func share(p *process.Info, now time.Time) float64 {
	lived := now.Sub(p.StartedAt)
	if lived <= 0 {
		return 0
	}
	return 100 * float64(p.CPU) / float64(lived)
}

// userName is what the host calls a user, as ps does.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
