package containers

import (
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

func TestTopRows(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.Local)
	rows := topRows([]ask.ContainerProcesses{
		{Container: "shop-db-1", Service: "db", Replica: 1, Processes: []process.Info{
			{Pid: 42, PPid: 7, UID: 999, State: "S", CPU: 61 * time.Second, StartedAt: now.Add(-2 * time.Hour), Name: "postgres", Args: []string{"postgres", "-D", "/data"}},
			{Pid: 43, PPid: 42, UID: 0, State: "Z", StartedAt: now.Add(-26 * time.Hour), Name: "sh"},
		}},
		{Container: "shop-web-2", Service: "web", Replica: 2, Processes: []process.Info{
			{Pid: 50, PPid: 8, State: "R", TTY: "pts/0", CPU: 90*time.Hour + time.Second, StartedAt: now.AddDate(-1, 0, 0), Name: "x", Args: []string{"x\x1b[2J", "a\nb"}},
		}},
	}, now, func(uid int) string { return map[int]string{0: "root", 999: "999"}[uid] })
	want := []string{
		"db 1 999 42 7 0 10:00 ? 00:01:01 postgres -D /data",
		"db 1 root 43 42 0 Mar01 ? 00:00:00 [sh] <defunct>",
		"web 2 root 50 8 1 2025 pts/0 03-18:00:01 x?[2J a?b",
	}
	for i, row := range rows {
		if got := strings.Join(row, " "); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows", len(rows))
	}
}
