package output

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime/logs"
)

const logOther = ".b.log"

// Beside is the log of a container that is to run beside the one of which path is the log: two processes must not write, and rotate,
// one file. A replica's log is both files, and the next in the row has the first again.
func Beside(path string) string {
	if base, ok := strings.CutSuffix(path, logOther); ok {
		return base + ".log"
	}
	return strings.TrimSuffix(path, ".log") + logOther
}

// withOtherLogs adds to list, for each replica of which nobody has the other log file, a reader of that: what its predecessors have written.
func withOtherLogs(list []*inventory.Container) []*inventory.Container {
	taken := map[string]bool{}
	for _, c := range list {
		taken[c.Config.Log.Path] = true
	}
	add := func(c *inventory.Container, path, note string) {
		if taken[path] {
			return
		}
		if _, err := os.Stat(path); err != nil {
			return // the usual case
		}
		past, cfg := *c, *c.Config
		cfg.Log.Path = path
		past.Config, past.Past, past.Note = &cfg, true, note
		list = append(list, &past)
	}
	for _, c := range list {
		if c.Step != nil {
			continue
		}
		add(c, Beside(c.Config.Log.Path), "")
		for i := range c.Spec.PreStart {
			add(c, StepLog(c.Config.Log.Path, i), HookNote)
		}
	}
	return list
}

// tails are how many of a replica's last n lines are in each of list's files, by path: a replica may have several.
func (f *follower) tails(ctx context.Context, list []*inventory.Container, o logs.Options) (map[string]int, error) {
	share := map[string]int{}
	for _, c := range list {
		share[c.Config.Log.Path] = o.Tail
	}
	if o.Tail <= 0 {
		return share, nil
	}
	type key struct {
		service string
		number  int
	}
	files := map[key][]string{}
	for _, c := range list {
		k := key{c.Service, c.Number}
		files[k] = append(files[k], c.Config.Log.Path)
	}
	for _, paths := range files {
		if len(paths) == 1 {
			continue
		}
		times := make([][]time.Time, len(paths))
		for i, path := range paths {
			share[path] = 0
			read := logs.Read
			if f.choice != nil {
				read = newSieve(f.choice).read
			}
			if err := read(ctx, path, o, func(x logs.Entry) error {
				times[i] = append(times[i], x.Time)
				return nil
			}); err != nil {
				return nil, err
			}
		}
		for range o.Tail {
			latest := -1
			for i, t := range times {
				if len(t) > 0 && (latest < 0 || t[len(t)-1].After(times[latest][len(times[latest])-1])) {
					latest = i
				}
			}
			if latest < 0 {
				break
			}
			times[latest] = times[latest][:len(times[latest])-1]
			share[paths[latest]]++
		}
	}
	return share, nil
}

// StepLog is the log of a step of the container of which path is the log. It outlives the step.
func StepLog(path string, index int) string {
	return fmt.Sprintf("%s.pre_start.%d.log", strings.TrimSuffix(path, ".log"), index)
}

// asStep makes c speak as the container that it is a step of, in its log; false: it is no step.
func asStep(c *inventory.Container) bool {
	if c.Step == nil {
		return false
	}
	c.Name, c.Note = strings.TrimSuffix(c.Name, inventory.StepName("", c.Step.Index)), HookNote
	return true
}

// HookNote stands before each line of a hook's output in the container's log. docker compose shows such lines as of "web-1 ->".
const HookNote = "-> "
