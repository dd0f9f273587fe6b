package plan

import (
	"fmt"
	"math"
	"time"

	"github.com/stackrun/stack/internal/objectid"
)

// Rollout is how the containers of a service are replaced: an update_config or rollback_config with its defaults filled in. It is
// no part of a Spec: another way to replace containers is no reason to do so.
type Rollout struct {
	Parallelism int           `json:"parallelism"` // containers at one time; 0 = all
	Delay       time.Duration `json:"delay,omitempty"`
	Monitor     time.Duration `json:"monitor"` // how long a new container is watched from its start on
	OnFailure   FailureAction `json:"failureAction"`
	MaxFailures float64       `json:"maxFailures,omitempty"` // the part of the containers that may fail, 0 to 1
	StartFirst  bool          `json:"startFirst,omitempty"`
}

// FailureAction is what follows when more containers fail than may.
type FailureAction string

const (
	Pause    FailureAction = "pause"    // the rest stays as it is
	Continue FailureAction = "continue" // with the rest
	Rollback FailureAction = "rollback" // all go back to what was before
)

// tolerate is how many of n containers may fail before the action follows.
func (r *Rollout) tolerate(n int) int {
	if r.OnFailure == Continue {
		return n
	}
	return int(math.Floor(r.MaxFailures*float64(n) + 1e-9)) // 0.3 of 10 is 3, whatever binary fractions say
}

// batches are n things, by index, in the portions in which they are replaced.
func (r *Rollout) batches(n int) [][]int {
	size := r.Parallelism
	if size <= 0 {
		size = n
	}
	var out [][]int
	for i := range n {
		if i%size == 0 {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], i)
	}
	return out
}

// BeginBatch lets the next containers be replaced, after Delay, unless more than Tolerate of those before have failed.
type BeginBatch struct {
	Service  string
	Number   int // from 2
	Delay    time.Duration
	Tolerate int
}

// ProveContainer waits until a new container is ready: healthy if it has a health check, else running for Monitor. Throughout: until
// it is healthy, if it has a check, and has run for Monitor too. Its end, or ill health, is a failure. ContainerID "" = the one
// that this plan creates.
type ProveContainer struct {
	Service     string
	Replica     int
	Name        string
	ContainerID string
	Monitor     time.Duration
	Throughout  bool
}

// Handover gives names and published ports of the container From to its successor: ContainerID, or when that is empty the one that
// this plan creates. From keeps the connections that it has.
type Handover struct {
	Service     string
	Replica     int
	Name        string
	ContainerID string
	From        string
}

// EndUpdate ends the rolling update of a service. If more than Tolerate of Replicas have failed, what OnFailure says follows.
type EndUpdate struct {
	Service   string
	Replicas  []int // that were to be replaced
	Created   []int // that came with the update; going back takes them away
	Tolerate  int
	OnFailure FailureAction
	Rollback  Rollout // how to go back
}

func (BeginBatch) operation()     {}
func (ProveContainer) operation() {}
func (Handover) operation()       {}
func (EndUpdate) operation()      {}

func (o BeginBatch) String() string {
	if o.Delay > 0 {
		return fmt.Sprintf("go on with batch %d of %s after %s", o.Number, o.Service, o.Delay)
	}
	return fmt.Sprintf("go on with batch %d of %s", o.Number, o.Service)
}

func (o ProveContainer) String() string {
	if o.Throughout {
		return fmt.Sprintf("watch container %s for %s", o.Name, o.Monitor)
	}
	return fmt.Sprintf("wait for container %s to be ready", o.Name)
}

func (o Handover) String() string { return "hand names and ports over to container " + o.Name }

func (o EndUpdate) String() string {
	return fmt.Sprintf("end the update of %s, on failure %s", o.Service, o.OnFailure)
}

// OldName is what a container is called that gives its name to a successor: docker compose's form.
func OldName(id, name string) string { return objectid.Short(id) + "_" + name }
