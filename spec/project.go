package spec

import (
	"encoding/json"
	"time"
)

// Path addresses a value of the model: "services.web.ports[0]".
type Path string

// Project is a Compose file after everything: interpolated, merged, normalised,
// validated, paths absolute, env files read. It is plain data and survives a
// round trip through encoding/json unchanged.
type Project struct {
	Name     string              // [a-z0-9][a-z0-9_-]*
	Dir      string              // absolute: the base of relative paths
	Isolated string              `json:",omitempty"` // the part of Name that tells its directory from others (Isolated); "" = it has none
	Files    []string            // absolute, in the order given
	Services map[string]*Service // those that the profiles select
	Inactive map[string]*Service // those that the profiles leave out
	Networks map[string]*Network // only those that a selected service uses, or all
	Volumes  map[string]*Volume  // likewise
	Configs  map[string]*FileObject
	Secrets  map[string]*FileObject
	Models   map[string]*Model
	// Extensions are the x- keys at the top, as JSON; nothing but config reads them.
	Extensions map[string]json.RawMessage
	Profiles   []string // active profiles
	Sources    Sources

	AllResources bool `json:",omitempty"` // Networks, Volumes and the like that no service uses are to be made too
}

// ImageOf is the name of the image that containers of s are made from. One that is built and given no name has docker compose's.
func (p *Project) ImageOf(s *Service) string {
	if s.Image == "" && s.Build != nil {
		return p.Name + "-" + s.Name
	}
	return s.Image
}

// Service is one entry of services. A nil pointer or nil slice means "not said":
// the image's or the platform's default holds. Sizes are bytes, times are time.Duration.
type Service struct {
	Name          string
	Image         string
	Platform      string
	PullPolicy    string // always never missing build daily weekly every_<duration>; "" = missing
	ContainerName string
	Profiles      []string
	Attach        *bool
	Build         *Build    // nil = the image is not made here
	Provider      *Provider // nil = the service is containers
	Runtime       string
	Extensions    map[string]json.RawMessage

	// Process. Command and Entrypoint: nil = image's, empty = explicitly none.
	Command     []string
	Entrypoint  []string
	Environment map[string]string // env_file and environment, resolved
	EnvFiles    []EnvFile         // with Input.Raw.EnvFiles: those that were not read
	Unset       []string          // named in environment without a value that anybody gives
	WorkingDir  string
	User        string
	GroupAdd    []string
	Hostname    string
	Domainname  string
	Init        bool
	TTY         bool
	StdinOpen   bool
	StopSignal  string
	StopGrace   *time.Duration    // stop_grace_period; nil = 10 s
	Labels      map[string]string // label_file and labels
	LabelFiles  []string          // absolute; what they say is in Labels
	Annotations map[string]string
	Sysctls     map[string]string
	Ulimits     map[string]Ulimit

	// Filesystem.
	ReadOnly          bool
	ShmSize           int64 // 0 = 64 MiB
	Mounts            []Mount
	Tmpfs             []Mount
	Configs           []FileUse
	Secrets           []FileUse
	Devices           []Device
	VolumesFrom       []string // SERVICE[:MODE] or container:NAME[:MODE]
	StorageOpt        map[string]string
	DeviceCgroupRules []string
	GPUs              []DeviceRequest
	UseAPISocket      bool

	// Network.
	Networks      map[string]*Endpoint // by key of Project.Networks; exclusive with NetworkMode
	NetworkMode   string               // "", none, host, service:<name>, container:<name>; ToShow: whatever the file says
	Links         []string             // SERVICE[:ALIAS]; ToRun: they are aliases of Networks too
	ExternalLinks []string             // CONTAINER[:ALIAS]
	Ports         []Port               // ranges expanded
	Expose        []string
	DNS           []string
	DNSSearch     []string
	DNSOpt        []string
	ExtraHosts    []HostEntry
	MacAddress    string

	// Isolation.
	CapAdd         []string // without the CAP_ prefix, upper case; may be ALL
	CapDrop        []string
	Privileged     bool
	SecurityOpt    []string
	IPC            string
	PID            string
	UTS            string
	Cgroup         string
	UserNS         string
	Windows        string // isolation
	CredentialSpec *CredentialSpec

	// Resources, deploy.resources and the flat keys already joined.
	Resources    Resources
	CgroupParent string
	OOMScoreAdj  int
	BlkIO        *BlkIO

	// Lifecycle.
	DependsOn   map[string]Dependency
	Restart     RestartPolicy
	RestartText string       // restart as written, "" = not said
	HealthCheck *HealthCheck // nil = the image's
	Replicas    int          // scale or deploy.replicas; 1 unless said
	Deploy      *Deploy
	Develop     []Watch
	PreStart    []Hook // run in containers of their own
	PostStart   []Hook
	PreStop     []Hook
	Models      map[string]*ModelUse
	Logging     Logging
}

// Condition of a depends_on edge.
type Condition string

const (
	ServiceStarted   Condition = "service_started"
	ServiceHealthy   Condition = "service_healthy"
	ServiceCompleted Condition = "service_completed_successfully"
)

// Dependency is one depends_on edge. Required false: a missing or failed dependency is a warning.
type Dependency struct {
	Condition Condition
	Restart   bool
	Required  bool
}

// RestartPolicy joins restart and deploy.restart_policy.
type RestartPolicy struct {
	Name        string // no, always, on-failure, unless-stopped
	MaxAttempts int    // 0 = no bound
	Delay       time.Duration
	Window      time.Duration
}

// HealthCheck. Test is ["CMD", …], ["CMD-SHELL", "…"] or ["NONE"]; empty = inherit the
// image's test. Zero durations and zero Retries mean the image's, else the default.
type HealthCheck struct {
	Test          []string
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
	Disable       bool
}

type Logging struct {
	Driver  string // "", json-file, local, none
	Options map[string]string
}

type Ulimit struct{ Soft, Hard int64 } // -1 = unlimited

// Mount is one entry of volumes or tmpfs.
type Mount struct {
	Type           string // bind, volume, tmpfs; ToShow: image, npipe, cluster too
	Source         string // bind: absolute host path; volume: key of Project.Volumes, "" = anonymous
	Target         string // absolute, clean
	ReadOnly       bool
	Propagation    string // bind: rprivate unless said
	Recursive      string // bind: enabled disabled writable readonly
	CreateHostPath bool   // bind
	IDMap          string // bind: "" or match-user
	NoCopy         bool   // volume
	Subpath        string // volume, image
	SELinux        string // bind: z, Z
	Consistency    string
	TmpfsSize      int64
	TmpfsMode      uint32   // 0 = of the directory in the image, 01777 where there is none
	Options        []string // tmpfs short form: further mount options (uid=, gid=, exec, …)
	Written        string   // ToShow: the tmpfs short form
	Labels         map[string]string
}

// FileUse is a service's use of a config or secret.
type FileUse struct {
	Source string // key of Project.Configs or Project.Secrets
	Target string // absolute path in the container
	UID    string // numeric; "" = not said
	GID    string
	Mode   *uint32 // nil = not said (0444)
}

// FileObject is a top-level config or secret. For Environment and inline content, Content holds
// the bytes at load time; for File the daemon reads File when the container is created.
type FileObject struct {
	Key            string
	Name           string
	File           string // absolute
	Environment    string // name of the variable
	Content        []byte // value of content or of the variable
	External       bool
	Labels         map[string]string
	Driver         string
	DriverOpts     map[string]string
	TemplateDriver string
}

type Device struct{ Source, Target, Permissions string }

// Port is one published port; Published 0 = any free port, PublishedEnd > Published = one free
// port of that range. HostIP "" = every address, IPv4 and IPv6.
type Port struct {
	HostIP       string
	Published    uint16
	PublishedEnd uint16
	Target       uint16
	Protocol     string // tcp udp; ToShow: sctp too
	Name         string
	AppProtocol  string
	Mode         string
}

// HostEntry is a line of extra_hosts; Address may be "host-gateway".
type HostEntry struct{ Host, Address string }

// Endpoint is a service's membership of one network.
type Endpoint struct {
	Aliases       []string
	IPv4          string
	IPv6          string
	LinkLocal     []string
	MacAddress    string
	InterfaceName string
	Priority      int
	Written       bool // as a mapping, even an empty one
	GwPriority    int
	DriverOpts    map[string]string
}

// Network is a top-level network.
type Network struct {
	Key         string
	Name        string // <project>_<key> unless said
	Driver      string // bridge
	DriverOpts  map[string]string
	Internal    bool
	External    bool
	Attachable  bool
	EnableIPv4  *bool
	EnableIPv6  bool
	IPAM        []IPAMPool
	IPAMDriver  string // "" = the default
	IPAMOptions map[string]string
	Labels      map[string]string
}

type IPAMPool struct {
	Subnet  string
	IPRange string
	Gateway string
	Aux     map[string]string
}

// Volume is a top-level volume.
type Volume struct {
	Key        string
	Name       string // <project>_<key> unless said
	Driver     string // local
	DriverOpts map[string]string
	External   bool
	Labels     map[string]string
}

// Resources: zero = no limit.
type Resources struct {
	CPUs              float64
	CPUShares         uint64
	CPUQuota          int64 // µs
	CPUPeriod         uint64
	CPUSet            string
	CPURTRuntime      int64 // µs
	CPURTPeriod       int64
	CPUCount          int64 // Windows
	CPUPercent        float64
	Memory            int64
	MemoryReservation int64
	MemorySwap        int64 // memory+swap; -1 = no bound
	MemorySwappiness  *uint64
	OOMKillDisable    bool
	Pids              int64 // -1 = no bound
}
