package plan

import (
	"fmt"
	"time"
)

// Operation is one thing to do; each kind is a struct of its own. All are idempotent.
type Operation interface {
	operation()
	String() string
}

// PullImage fetches an image that is not local, for Services. At is the key of the first of them that names it, "" = image.
type PullImage struct {
	Ref, Platform string
	Services      []string
	At            string `json:",omitzero"`
}

// BuildImage makes the image of Service, for Services, from its sources. RegistryFirst: when a registry has the image, that is taken, and
// when none has, one that is on this host.
type BuildImage struct {
	Ref, Platform string
	Service       string
	Services      []string
	RegistryFirst bool `json:",omitzero"`
}

// CreateNetwork makes a network, or mends one that is damaged.
type CreateNetwork struct{ Name string }

// DeleteNetwork removes a network that nobody uses.
type DeleteNetwork struct{ Name string }

// CreateVolume makes a named volume, or the directory of one that has lost it.
type CreateVolume struct{ Name string }

// DeleteVolume removes a volume and what is in it.
type DeleteVolume struct{ Name string }

// CreateContainer makes a container that does not run yet. Anonymous are volumes, by target, that it takes
// over from the one before it.
type CreateContainer struct {
	Service   string
	Replica   int
	Name      string
	Anonymous map[string]string
	Succeeds  string // ID of the container that it replaces and that is still there, "" = none
}

// ReserveStart keeps what a container that runs needs of the disk to be started again. It goes before the stop: what can fail of a restart fails while the container
// runs.
type ReserveStart struct {
	Service     string
	Name        string
	ContainerID string
}

// StartContainer starts a container: ContainerID, or when that is empty the one that this plan creates.
type StartContainer struct {
	Service     string
	Replica     int
	Name        string
	ContainerID string
	Beside      string // ID of the container that has its names and ports until a Handover, "" = it takes them at once
}

// StopContainer stops a container. Timeout nil = its own grace period.
type StopContainer struct {
	Service     string
	Name        string
	ContainerID string
	Timeout     *time.Duration
}

// DeleteContainer removes a stopped container. KeepAnonymous says that its successor takes its anonymous
// volumes; Volumes, that they are removed. Neither: they stay, with nobody.
type DeleteContainer struct {
	Service       string
	Replica       int
	Name          string
	ContainerID   string
	KeepAnonymous bool
	Volumes       bool
}

// MendNetwork repairs the network namespace of a container that runs, without a restart of it.
type MendNetwork struct {
	Service     string
	Name        string
	ContainerID string
}

// MendContainer puts back the limits of a container that runs, without a restart of it.
type MendContainer struct {
	Service     string
	Name        string
	ContainerID string
}

// WaitReady waits until the containers of Service with the numbers Replicas (nil = all) meet Condition: those that the file
// wants, not one that the same plan takes away. Optional: if they do not, that is a warning.
type WaitReady struct {
	Service   string
	Replicas  []int
	Condition Condition
	Optional  bool
}

func (PullImage) operation()       {}
func (BuildImage) operation()      {}
func (CreateNetwork) operation()   {}
func (DeleteNetwork) operation()   {}
func (CreateVolume) operation()    {}
func (DeleteVolume) operation()    {}
func (CreateContainer) operation() {}
func (ReserveStart) operation()    {}
func (StartContainer) operation()  {}
func (StopContainer) operation()   {}
func (DeleteContainer) operation() {}
func (MendNetwork) operation()     {}
func (MendContainer) operation()   {}
func (WaitReady) operation()       {}

func (o PullImage) String() string       { return "pull image " + o.Ref }
func (o BuildImage) String() string      { return "build image " + o.Ref }
func (o CreateNetwork) String() string   { return "create network " + o.Name }
func (o DeleteNetwork) String() string   { return "delete network " + o.Name }
func (o CreateVolume) String() string    { return "create volume " + o.Name }
func (o DeleteVolume) String() string    { return "delete volume " + o.Name }
func (o CreateContainer) String() string { return "create container " + o.Name }
func (o ReserveStart) String() string    { return "keep room for the start of container " + o.Name }
func (o StartContainer) String() string  { return "start container " + o.Name }
func (o StopContainer) String() string   { return "stop container " + o.Name }
func (o DeleteContainer) String() string { return "delete container " + o.Name }
func (o MendNetwork) String() string     { return "mend the network of container " + o.Name }
func (o MendContainer) String() string   { return "mend container " + o.Name }
func (o WaitReady) String() string {
	what := map[Condition]string{Started: "started", Healthy: "healthy", Completed: "completed"}[o.Condition]
	if o.Optional {
		return fmt.Sprintf("wait for %s to be %s if it can", o.Service, what)
	}
	return fmt.Sprintf("wait for %s to be %s", o.Service, what)
}
