package containers

import (
	"context"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

// NewTopCommand makes the command top.
func NewTopCommand(run *cli.Run) *cobra.Command {
	return &cobra.Command{
		Use:   "top [SERVICE...]",
		Short: "Show the processes of containers that run",
		Long: `Shows the processes of the containers that run or are paused, as ps -ef does: with the ids that they have on this host, and its names of
users. No program is needed in the container.`,
		RunE: func(cmd *cobra.Command, services []string) error { return showTop(cmd.Context(), run, services) },
	}
}

func showTop(ctx context.Context, run *cli.Run, services []string) error {
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	all, err := daemon.Top(ctx, name)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c ask.ContainerProcesses) bool {
		return len(services) > 0 && !slices.Contains(services, c.Service)
	})
	rows := topRows(all, time.Now(), hostUser())
	if len(rows) == 0 {
		return nil // as docker compose: no header either
	}
	return formatter.WriteTable(run.Out, []string{"SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}, rows)
}

// hostUser gives this host's name of a user, or the number; each is looked up once.
func hostUser() func(uid int) string {
	names := map[int]string{}
	return func(uid int) string {
		if _, ok := names[uid]; !ok {
			names[uid] = strconv.Itoa(uid)
			if u, err := user.LookupId(names[uid]); err == nil {
				names[uid] = u.Username
			}
		}
		return names[uid]
	}
}

func topRows(all []ask.ContainerProcesses, now time.Time, name func(uid int) string) (rows [][]string) {
	for _, c := range all {
		for _, p := range c.Processes {
			tty := p.TTY
			if tty == "" {
				tty = "?"
			}
			rows = append(rows, []string{
				c.Service, strconv.Itoa(c.Replica), name(p.UID), strconv.Itoa(p.Pid), strconv.Itoa(p.PPid), strconv.Itoa(share(p, now)),
				startTime(p.StartedAt, now), tty, cpuTime(p.CPU), processLine(p),
			})
		}
	}
	return rows
}

// share is how much of one processor p has used in its life, in percent.
func share(p process.Info, now time.Time) int {
	if life := now.Sub(p.StartedAt); life > 0 {
		return int(100 * p.CPU / life)
	}
	return 0
}

// startTime is the STIME of ps(1): the time of a process of today, the day of one of this year.
func startTime(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	switch {
	case at.Year() != now.Year():
		return at.Format("2006")
	case at.YearDay() != now.YearDay():
		return at.Format("Jan02")
	}
	return at.Format("15:04")
}

// cpuTime is the TIME of ps(1): [DD-]HH:MM:SS.
func cpuTime(d time.Duration) string {
	s := int(d / time.Second)
	text := fmt.Sprintf("%02d:%02d:%02d", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%02d-%s", days, text)
	}
	return text
}

// processLine is the CMD of ps(1): the name in brackets of what has no command line. A container says what it likes there: what would move the
// cursor, or break the line, is a question mark.
func processLine(p process.Info) string {
	line := strings.Join(p.Args, " ")
	if strings.TrimSpace(line) == "" {
		if line = "[" + p.Name + "]"; p.State == "Z" {
			line += " <defunct>"
		}
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, line)
}
