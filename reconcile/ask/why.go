package ask

import (
	"fmt"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/runtime/process"
)

// WhyOptions of Why.
type WhyOptions struct {
	Service string `json:"service"`
	Index   int    `json:"index,omitempty"` // of one replica; 0 = all
}

// Why is how the containers of a service came to be what they are.
type Why struct {
	Project    string         `json:"project"`
	Service    string         `json:"service"`
	Containers []WhyContainer `json:"containers"`

	// Unfinished is the last plan of the project, if it was not carried out to its end: that may be why a container does not run.
	Unfinished *history.Entry `json:"unfinished,omitempty"`
}

// WhyContainer is that of one container.
type WhyContainer struct {
	Name      string    `json:"name"`
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Health    string    `json:"health,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`

	// Stopped says that nobody wants it to run: a command has stopped it, or it ended in an up that failed. It stays so. Asked is the first, as far as is remembered.
	Stopped bool `json:"stopped,omitempty"`
	Asked   bool `json:"asked,omitempty"`

	// NotSent is to whom its log should go, and why it does not; "" = it goes there, or nowhere else.
	NotSent string `json:"notSent,omitempty"`

	// Start is how it came to run by the last plan that started it; nil when nobody remembers.
	Start *history.Start `json:"start,omitempty"`
	// Restart is what has started it again since, nil = nothing has.
	Restart *Restarted `json:"restart,omitempty"`

	Evidence
}

// Restarted is the last time that a container was started again without a plan.
type Restarted struct {
	Time  time.Time `json:"time,omitzero"`
	Count int       `json:"count,omitempty"` // by its restart policy, since somebody started it
	Cause string    `json:"cause"`
}

// Evidence is what explains why a container is not as it should be. What fails tells it, and `stack why`; both in the words of Lines.
type Evidence struct {
	Exit   *process.Exit `json:"exit,omitempty"`   // of the last run that has ended
	Probes []ProbeResult `json:"probes,omitempty"` // the last ones of this run, or of the last, oldest first
	Log    []string      `json:"log,omitempty"`    // the last lines

	// Telling is the probe that says something of why, nil = none does. It does not travel.
	Telling *ProbeResult `json:"-"`
}

// Lines are the last probe's words, if they explain something, and the last lines of the log, without what would move a terminal's cursor.
func (v *Evidence) Lines() []string {
	var out []string
	if r := v.explaining(); r != nil {
		line := fmt.Sprintf("its last health check exited with code %d", r.ExitCode)
		words := strings.Split(strings.TrimSpace(plaintext.Output(r.Output)), "\n")
		if words[0] != "" {
			line += ": " + words[0]
		}
		out = append(out, line)
		for _, w := range words[1:] {
			out = append(out, "  "+w)
		}
	}
	if len(v.Log) > 0 {
		out = append(out, "the last lines of its log:")
		for _, l := range v.Log {
			out = append(out, "  "+plaintext.Output(l))
		}
	}
	return out
}

// explaining is the probe that says why. One that has travelled has lost which of them that is: it was the last, if that failed.
func (v *Evidence) explaining() *ProbeResult {
	if v.Telling != nil {
		return v.Telling
	}
	if n := len(v.Probes); n > 0 && v.Probes[n-1].ExitCode != 0 {
		return &v.Probes[n-1]
	}
	return nil
}

// String is Lines below an error's first line.
func (v *Evidence) String() string {
	var b strings.Builder
	for _, l := range v.Lines() {
		b.WriteString("\n  " + l)
	}
	return b.String()
}
