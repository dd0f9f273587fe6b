package spec

import "time"

// Deploy is the deploy section as written. What of it has an effect on one host is
// in Service.Replicas, Service.Restart and Service.Resources too.
type Deploy struct {
	Mode         string
	Replicas     *int
	Labels       map[string]string
	Update       *Rollout
	Rollback     *Rollout
	Limits       *DeployResources
	Reservations *DeployResources
	Restart      *DeployRestart
	Placement    Placement
	EndpointMode string
}

// Rollout is an update_config or rollback_config.
type Rollout struct {
	Parallelism     *int64
	Delay           time.Duration
	FailureAction   string
	Monitor         time.Duration
	MaxFailureRatio float64
	Order           string
}

type DeployResources struct {
	CPUs    float64
	Memory  int64
	Pids    int64
	Devices []DeviceRequest
	Generic []GenericResource
}

// DeviceRequest asks for devices by what they can do. Count -1 is all; Count 0 with
// IDs is those.
type DeviceRequest struct {
	Capabilities []string
	Driver       string
	Count        int64
	IDs          []string
	Options      map[string]string
}

type GenericResource struct {
	Kind  string
	Value int64
}

type DeployRestart struct {
	Condition   string
	Delay       *time.Duration
	MaxAttempts *int64
	Window      *time.Duration
}

type Placement struct {
	Constraints []string
	Preferences []string
	MaxReplicas int64 // per node; 0 = no bound
}

// BlkIO is blkio_config.
type BlkIO struct {
	Weight       int64
	WeightDevice []DeviceRate
	ReadBps      []DeviceRate
	ReadIOps     []DeviceRate
	WriteBps     []DeviceRate
	WriteIOps    []DeviceRate
}

// DeviceRate is a weight, or a bound in bytes or operations per second, of one device.
type DeviceRate struct {
	Path string
	Rate int64
}

// CredentialSpec is for Windows.
type CredentialSpec struct{ Config, File, Registry string }
