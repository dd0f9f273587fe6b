package containers

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/single"
)

func (h *handlers) start(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("checkpoint") != "" || q.Get("checkpoint-dir") != "" {
		return cannot("checkpoint: stack takes no checkpoints of containers")
	}
	already, err := h.engine.Start(r.Context(), r.PathValue("id"))
	return done(w, already, err)
}

// done answers 204, or 304 when there was nothing to do.
func done(w http.ResponseWriter, already bool, err error) error {
	if err == nil && already {
		err = wire.ErrNotModified
	}
	if err != nil {
		return err
	}
	return wire.NoContent(w)
}

// stopOptions reads t, seconds until the kill with -1 for never, and signal.
func stopOptions(r *http.Request) (o single.StopOptions, err error) {
	if text := r.URL.Query().Get("t"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return o, invalid("invalid value for t: %q is no number of seconds", text)
		}
		o.Timeout = new(time.Duration(seconds) * time.Second)
	}
	o.Signal = r.URL.Query().Get("signal")
	return o, nil
}

func (h *handlers) stop(w http.ResponseWriter, r *http.Request) error {
	o, err := stopOptions(r)
	if err != nil {
		return err
	}
	already, err := h.engine.Stop(r.Context(), r.PathValue("id"), o)
	return done(w, already, err)
}

func (h *handlers) restart(w http.ResponseWriter, r *http.Request) error {
	o, err := stopOptions(r)
	if err != nil {
		return err
	}
	return done(w, false, h.engine.Restart(r.Context(), r.PathValue("id"), o))
}

func (h *handlers) kill(w http.ResponseWriter, r *http.Request) error {
	return done(w, false, h.engine.Kill(r.Context(), r.PathValue("id"), r.URL.Query().Get("signal")))
}

func (h *handlers) pause(w http.ResponseWriter, r *http.Request) error {
	return done(w, false, h.engine.Pause(r.Context(), r.PathValue("id")))
}

func (h *handlers) unpause(w http.ResponseWriter, r *http.Request) error {
	return done(w, false, h.engine.Unpause(r.Context(), r.PathValue("id")))
}

func (h *handlers) remove(w http.ResponseWriter, r *http.Request) error {
	if wire.Bool(r, "link") {
		return cannot("link: stack has no links to remove; a container's go with it")
	}
	return done(w, false, h.engine.Remove(r.Context(), r.PathValue("id"), single.RemoveOptions{Force: wire.Bool(r, "force"), Volumes: wire.Bool(r, "v")}))
}

func (h *handlers) rename(w http.ResponseWriter, r *http.Request) error {
	return done(w, false, h.engine.Rename(r.Context(), r.PathValue("id"), r.URL.Query().Get("name")))
}

// updateFixed are members of an update that docker's clients send as they are in a create, and that cannot be changed later.
func updateFixed(r *container.Resources) error {
	if r.CgroupParent != "" || r.BlkioWeight != 0 || r.OomKillDisable != nil && *r.OomKillDisable || r.MemorySwappiness != nil && *r.MemorySwappiness >= 0 ||
		len(r.BlkioWeightDevice)+len(r.BlkioDeviceReadBps)+len(r.BlkioDeviceWriteBps)+len(r.BlkioDeviceReadIOps)+len(r.BlkioDeviceWriteIOps)+len(r.Devices)+len(r.DeviceCgroupRules)+len(r.DeviceRequests)+len(r.Ulimits) > 0 {
		return cannot("an update of other things than memory, processors, processes and the restart policy: make the container anew")
	}
	return nil
}

func (h *handlers) update(w http.ResponseWriter, r *http.Request) error {
	var body container.UpdateConfig
	if err := wire.Decode(w, r, &body); err != nil {
		return err
	}
	if err := updateFixed(&body.Resources); err != nil {
		return err
	}
	var change single.Change
	var err error
	if change.Resources, err = resources(&body.Resources); err != nil {
		return err
	}
	if p := body.PidsLimit; p != nil && *p == 0 { // in an update a word for no limit
		change.Resources.Pids = -1
	}
	if body.RestartPolicy.Name != "" {
		if err := container.ValidateRestartPolicy(body.RestartPolicy); err != nil {
			return invalid("%v", err)
		}
		change.Restart = new(restartPolicy(body.RestartPolicy))
	}
	if err := h.engine.Update(r.Context(), r.PathValue("id"), change); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, container.UpdateResponse{Warnings: []string{}})
}

// wait answers when it has come about; that there will be an answer it says before, so that a client can start the container then.
func (h *handlers) wait(w http.ResponseWriter, r *http.Request) error {
	what, ok := map[string]single.WaitFor{
		"": single.NotRunning, string(container.WaitConditionNotRunning): single.NotRunning, string(container.WaitConditionNextExit): single.NextExit, string(container.WaitConditionRemoved): single.Removed,
	}[r.URL.Query().Get("condition")]
	if !ok {
		return invalid("invalid condition: %q", r.URL.Query().Get("condition"))
	}
	wait, err := h.engine.Wait(r.Context(), r.PathValue("id"), what)
	if err != nil {
		return err
	}
	out := wire.Stream(w, "application/json")
	end, err := wait(r.Context())
	answer := container.WaitResponse{StatusCode: int64(end.Code)}
	switch {
	case err != nil:
		answer.StatusCode, answer.Error = 125, &container.WaitExitError{Message: err.Error()}
	case end.Error != "":
		answer.Error = &container.WaitExitError{Message: end.Error}
	}
	json.NewEncoder(out).Encode(answer) //nolint:errcheck // the peer is gone
	return nil
}

func (h *handlers) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "label", "label!", "until")
	if err != nil {
		return err
	}
	var until time.Time
	now := time.Now()
	for _, text := range f["until"] {
		if until, err = wire.Time("until", text, now); err != nil {
			return err
		}
	}
	ids, freed, err := h.engine.Prune(r.Context(), func(d single.Detail) bool {
		return f.Labels("label", d.Labels) && f.NoLabels("label!", d.Labels) && (until.IsZero() || d.CreatedAt.Before(until))
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, container.PruneReport{ContainersDeleted: ids, SpaceReclaimed: uint64(freed)})
}
