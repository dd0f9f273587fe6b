package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/follow"
	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/event"
)

type eventsFlags struct {
	json         bool
	since, until string
}

// NewEventsCommand makes the command events.
func NewEventsCommand(run *cli.Run) *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events [OPTIONS] [SERVICE...]",
		Short: "Show what happens to the project as it happens",
		Long: `Prints a line for each change of a container, network, volume or image of the project, until Ctrl-C or --until. With services named,
only what happens to their containers.

--json prints objects with docker compose's keys: time, type, service, id, action and attributes, where actions have docker's words
(create, start, die, stop, kill, restart, pause, unpause, destroy, "health_status: healthy"). A container that is made anew or restarted is announced with
the action "recreate" or "restart" and the reason among the attributes. The daemon remembers its last thousand events for --since; what
an earlier daemon saw is gone. When the daemon is killed or replaced it goes on with the next one.`,
		RunE: func(cmd *cobra.Command, services []string) error { return showEvents(cmd.Context(), run, f, services) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "Print JSON objects, one a line")
	flags.StringVar(&f.since, "since", "", "Begin with events of this time (2026-01-02T15:04:05Z) or this long ago (10m)")
	flags.StringVar(&f.until, "until", "", "End at this time, or with events of this long ago")
	return cmd
}

func showEvents(ctx context.Context, run *cli.Run, f eventsFlags, services []string) error {
	var o event.Window
	var err error
	now := time.Now()
	if o.Since, err = cli.ParseTime(f.since, now); err != nil {
		return fmt.Errorf("invalid --since %q, expected a time such as 2026-01-02T15:04:05Z or a duration such as 10m", f.since)
	}
	if o.Until, err = cli.ParseTime(f.until, now); err != nil {
		return fmt.Errorf("invalid --until %q, expected a time such as 2026-01-02T15:04:05Z or a duration such as 10m", f.until)
	}
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	show := func(e event.Event) {
		line, ok := eventLine(e)
		if !ok || len(services) > 0 && !slices.Contains(services, e.Service) {
			return
		}
		if err := line.write(run.Out, f.json); err != nil {
			stop(err)
		}
	}
	first := true
	err = follow.GoOn(ctx, func() error {
		if !first {
			run.Warn("the daemon that told of events has gone; the next one tells what happens from now on")
			o.Since = time.Time{}
		}
		first = false
		return daemon.Events(ctx, name, o, show)
	})
	if failed := context.Cause(ctx); failed != nil && !errors.Is(failed, context.Canceled) {
		if errors.Is(failed, syscall.EPIPE) {
			return &exitcode.Error{Code: exitcode.Failed} // head has what it wanted
		}
		return failed
	}
	return err
}

// eventRow is one line of events, with docker compose's keys.
type eventRow struct {
	Time       string            `json:"time"`
	Type       string            `json:"type"`
	Service    string            `json:"service,omitempty"`
	ID         string            `json:"id,omitempty"`
	Action     string            `json:"action"`
	Attributes map[string]string `json:"attributes"`

	at time.Time
}

// dockerWords are docker's for what our events say.
var dockerWords = map[string]string{
	"Created": "create", "Started": "start", "Exited": "die", "Stopped": "stop", "Stopping": "kill", "Killing": "kill", "Restarted": "restart", "Removed": "destroy", "Paused": "pause", "Unpaused": "unpause",
	"Healthy": "health_status: healthy", "Unhealthy": "health_status: unhealthy", "Pulled": "pull", "Loaded": "load", "Pushed": "push", "Tagged": "tag", "Untagged": "untag", "Deleted": "delete", "Imported": "import",
}

// eventLine is e as a line; false for what only tells that something is being done or waited for.
func eventLine(e event.Event) (eventRow, bool) {
	signalled := e.Text == "Stopping" || e.Text == "Killing"
	if e.Phase == event.Working && !e.Announces() && !signalled {
		return eventRow{}, false
	}
	if e.Awaited || e.Phase == event.Done && (e.Text == "Running" || e.Text == "Killed") {
		return eventRow{}, false // nothing has happened to it, or it has been told when the signal was about to be sent: before the end that comes of it
	}
	l := eventRow{at: e.Time, Time: e.Time.Format(time.RFC3339Nano), Type: e.Kind, Service: e.Service, ID: e.ID, Action: dockerWords[e.Text], Attributes: map[string]string{"name": e.Name}}
	if l.Action == "" {
		l.Action = strings.ToLower(e.Text)
	}
	if e.Exit != nil {
		l.Attributes["exitCode"] = fmt.Sprint(*e.Exit)
	}
	if sig := unix.SignalNum(e.Signal); sig != 0 {
		l.Attributes["signal"] = fmt.Sprint(int(sig))
	}
	if e.Detail != "" {
		l.Attributes["reason"] = e.Detail
	}
	return l, true
}

// write writes it as docker compose does.
func (l eventRow) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(l)
	}
	var attributes []string
	for _, k := range slices.Sorted(maps.Keys(l.Attributes)) {
		attributes = append(attributes, k+"="+l.Attributes[k])
	}
	id := l.ID
	if id == "" {
		id = l.Attributes["name"]
	}
	_, err := fmt.Fprintf(w, "%s %s %s %s (%s)\n", l.at.Format("2006-01-02 15:04:05.000000"), l.Type, l.Action, id, plaintext.OneLine(strings.Join(attributes, ", ")))
	return err
}
