package plan

import "time"

// Observed is one snapshot of the host, for one project.
type Observed struct {
	Images     map[string]string        // reference (with "@platform" where asked for) → image id; missing = not local
	Networks   map[string]NetworkState  // by name on the host
	Volumes    map[string]VolumeState   // by name on the host
	Containers []ContainerState         // of the project
	Names      map[string]Holder        // of containers of others, where a service has a container_name
	Anonymous  map[ID]map[string]string // replica → target → volume that a container of it had when it was taken away in a recreate that did not end
}

// Holder is a container of somebody else.
type Holder struct {
	ID      string
	Project string // "" = it belongs to no file
}

// StartedAt is when the last run of a container began, zero = it had not run. ok = false: it is not in o, which may be nil.
func (o *Observed) StartedAt(containerID string) (at time.Time, ok bool) {
	if o == nil {
		return at, false
	}
	for i := range o.Containers {
		if c := &o.Containers[i]; c.ID == containerID {
			return c.StartedAt, true
		}
	}
	return at, false
}

// NetworkState is a network on the host.
type NetworkState struct {
	Name    string
	Project string // "" = of nobody we know
	Encoded string // NetworkSpec as it was made
	Problem string // why it does not work as it is
}

// VolumeState is a volume on the host.
type VolumeState struct {
	Name    string
	Project string
	Encoded string
	Problem string // why it does not work as it is
}

// Status of a container, as the plan needs it.
type Status string

const (
	StatusCreated    Status = "created"
	StatusRunning    Status = "running"
	StatusRestarting Status = "restarting" // its policy starts it again in a moment
	StatusPaused     Status = "paused"
	StatusExited     Status = "exited"
)

// ContainerState is a container on the host.
type ContainerState struct {
	ID        string // on the host
	Service   string
	Replica   int
	Name      string // shop-web-1
	OneOff    bool
	Encoded   string            // Spec as it was made
	Image     string            // image id it was made from
	Mounted   map[string]string // reference → image id, of the images that it has mounted
	Status    Status
	StartedAt time.Time // of its last run, zero = it has not run
	Policy    RestartPolicy
	ExitCode  int    // when exited
	Lost      string // exited: why that was not its own doing, "" = it was. It was killed, or could not be started
	Healthy   bool
	Unhealthy bool              // runs, and its health check says that it does not work
	Anonymous map[string]string // target → volume
	Networks  []string          // names on the host
	Succeeds  string            // ID of the container that it is made to replace, "" = none
	Relieved  bool              // its names and ports have gone to its successor
	PreStart  []InitStep        // of its Spec

	// What is wrong with it while it runs; "" = nothing. Both can be put right as it runs, unless MustRestart says that this has not helped
	// or cannot.
	Problem        string
	NetworkProblem string // of its network namespace
	MustRestart    bool

	Gone string // what it is made of that is not there any more, so that it has to be made anew; "" = nothing
}

// Active says whether the container runs, or will again without our doing.
func (c *ContainerState) Active() bool {
	return c.Status == StatusRunning || c.Status == StatusRestarting || c.Status == StatusPaused
}

func (c *ContainerState) id() ID { return Container(c.Service, c.Replica) }
