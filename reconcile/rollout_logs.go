package reconcile

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/stackrun/stack/runtime/logs"
)

const logOther = ".b.log"

// logBeside is the log of a container that is to run beside the one of which path is the log: two processes must not write, and rotate,
// one file. A replica's log is both files, and the next in the row has the first again.
func logBeside(path string) string {
	if base, ok := strings.CutSuffix(path, logOther); ok {
		return base + ".log"
	}
	return strings.TrimSuffix(path, ".log") + logOther
}

// withOtherLogs adds to list, for each replica of which nobody has the other log file, a reader of that: what its predecessors have written.
func withOtherLogs(list []*container) []*container {
	taken := map[string]bool{}
	for _, c := range list {
		taken[c.Config.Log.Path] = true
	}
	for _, c := range list {
		path := logBeside(c.Config.Log.Path)
		if taken[path] {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			continue // the usual case
		}
		past, cfg := *c, *c.Config
		cfg.Log.Path = path
		past.Config, past.past = &cfg, true
		list = append(list, &past)
	}
	return list
}

// tails are how many of a replica's last n lines are in each of list's files, by path: a replica may have two.
func tails(ctx context.Context, list []*container, o logs.Options) (map[string]int, error) {
	share := map[string]int{}
	for _, c := range list {
		share[c.Config.Log.Path] = o.Tail
	}
	for _, c := range list {
		if !c.past || o.Tail <= 0 {
			continue
		}
		var times [2][]time.Time
		paths := [2]string{c.Config.Log.Path, logBeside(c.Config.Log.Path)}
		for i, path := range paths {
			if err := logs.Read(ctx, path, o, func(x logs.Entry) error {
				times[i] = append(times[i], x.Time)
				return nil
			}); err != nil {
				return nil, err
			}
		}
		share[paths[0]], share[paths[1]] = 0, 0
		for a, b, n := len(times[0]), len(times[1]), o.Tail; n > 0 && a+b > 0; n-- {
			if b == 0 || a > 0 && times[0][a-1].After(times[1][b-1]) {
				a--
				share[paths[0]]++
			} else {
				b--
				share[paths[1]]++
			}
		}
	}
	return share, nil
}
