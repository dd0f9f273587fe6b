package runtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime"
)

// torn are what a power cut leaves of a file that was not synced: nothing, part of it, or blocks that were never written.
func torn(whole []byte) map[string][]byte {
	out := map[string][]byte{
		"empty":   nil,
		"half":    whole[:len(whole)/2],
		"no end":  whole[:len(whole)-1],
		"zeroes":  make([]byte, len(whole)),
		"another": []byte(`{"id": "0123456789abcdef", "spec": {}, "boot": 7, "code": "x"}`),
	}
	if len(whole) > 512 {
		out["no begin"] = append(make([]byte, 512), whole[512:]...)
	}
	return out
}

// TestPowerCutOnRecords: whatever is left of a record, the next daemon starts, the other containers are as they were, and the one is
// made usable or put aside, which is told.
func TestPowerCutOnRecords(t *testing.T) {
	for _, record := range []string{"config.json", "run.json", "exit.json"} {
		for _, kind := range []string{"empty", "half", "no end", "zeroes", "another", "no begin"} {
			t.Run(record+" "+kind, func(t *testing.T) {
				h := newHost(t)
				runs := h.sh("echo up; while :; do sleep 0.02; done")
				before := h.up(runs)
				ended := h.sh("exit 3")
				h.up(ended)
				h.wait(ended.ID)
				path := h.roots.InState("containers", ended.ID, record)
				whole, err := os.ReadFile(path)
				must(t, err)
				content, ok := torn(whole)[kind]
				if !ok {
					return // a small record is one block
				}
				h.nextDaemon(func() { must(t, os.WriteFile(path, content, 0o600)) })

				if s, err := h.State(t.Context(), runs.ID); err != nil || s.Status != runtime.Running || s.Pid != before.Pid {
					t.Errorf("the other container: %+v, %v", s, err)
				}
				list, err := h.List(t.Context())
				must(t, err)
				if record == "config.json" {
					if _, err := h.State(t.Context(), ended.ID); !errors.Is(err, errdefs.ErrNotFound) || len(list) != 1 {
						t.Errorf("the damaged one: %v, in a list of %d", err, len(list))
					}
					kept, err := os.ReadFile(h.roots.InState("containers", ended.ID+".damaged", record))
					if err != nil || string(kept) != string(content) {
						t.Errorf("it is not kept: %q, %v", kept, err)
					}
					must(t, os.RemoveAll(filepath.Dir(h.roots.InState("containers", ended.ID+".damaged", record))))
					h.up(ended) // it can be made anew
				} else {
					s, err := h.State(t.Context(), ended.ID)
					if err != nil || s.Status != runtime.Stopped || s.Exit == nil || len(list) != 2 {
						t.Errorf("the damaged one: %+v, %v, in a list of %d", s, err, len(list))
					}
					if want := map[string]int{"run.json": 3, "exit.json": 137}[record]; s.Exit != nil && s.Exit.Code != want {
						t.Errorf("its exit is %+v, expected %d", s.Exit, want)
					}
					if _, err := h.Start(t.Context(), ended.ID); err != nil {
						t.Errorf("it cannot be started: %v", err)
					}
				}
				if all := strings.Join(h.notices, "\n"); !strings.Contains(all, "damaged") || len(h.notices) > 2 {
					t.Errorf("told: %q", all)
				}
			})
		}
	}
}
