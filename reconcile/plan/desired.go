package plan

import (
	"fmt"
	"time"
)

// Desired is what one project asks for.
type Desired struct {
	Project  string              `json:"project"`
	Networks map[string]Network  `json:"networks,omitempty"` // by name on the host
	Volumes  map[string]Volume   `json:"volumes,omitempty"`  // by name on the host
	Services map[string]*Service `json:"services,omitempty"` // by name in the file
	Known    []string            `json:"known,omitempty"`    // services of the file that profiles leave out: no orphans
	Unused   bool                `json:"unused,omitempty"`   // networks and volumes that no service uses are made too
}

// Service is one service: what each of its containers is to be, and what they wait for.
type Service struct {
	Name          string                `json:"name"`
	Replicas      int                   `json:"replicas"`
	ContainerName string                `json:"containerName,omitempty"` // "" = <project>-<service>-<n>
	PullPolicy    string                `json:"pullPolicy,omitempty"`
	Offline       bool                  `json:"-"` // nothing is fetched for it, whatever PullPolicy says. The caller's wish, not the file's: saved plans do not depend on it
	Spec          Spec                  `json:"spec"`
	DependsOn     map[string]Dependency `json:"dependsOn,omitempty"`
	StayDown      bool                  `json:"stayDown,omitempty"` // the file says in so many words that nobody restarts it
	Labels        map[string]string     `json:"labels,omitempty"`   // of the tool's own, beyond what Spec has; not compared
	Update        *Rollout              `json:"update,omitempty"`   // nil = all containers at once
	Rollback      *Rollout              `json:"rollback,omitempty"`
	Build         *Recipe               `json:"build,omitempty"`    // nil = the image is not made here
	Provider      string                `json:"provider,omitempty"` // the program that stands for its containers, "" = it has containers
}

// Recipe says that the image of a service is made here. How is in the file: it makes no container another one, the image that comes of it does.
type Recipe struct {
	From  []string `json:"from,omitempty"`  // services whose images it builds on, in order
	Named bool     `json:"named,omitempty"` // the file gives the image a name, by which a registry may have it
	Again string   `json:"again,omitempty"` // why it is made again although it is here, "" = it is not
}

// Condition is what a dependent waits for.
type Condition string

const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Dependency is one edge.
type Dependency struct {
	Condition Condition `json:"condition"`
	Restart   bool      `json:"restart,omitempty"`
	Required  bool      `json:"required,omitempty"`
}

// Network is a network to be. What is compared with the host is Spec.
type Network struct {
	Name     string      `json:"name"`
	Key      string      `json:"key"`
	External bool        `json:"external,omitempty"`
	Spec     NetworkSpec `json:"spec"`
}

// NetworkSpec: every field is left out when zero, so that a field which a later version adds changes no hash.
type NetworkSpec struct {
	Driver     string            `json:"driver,omitzero"`
	DriverOpts map[string]string `json:"driver_opts,omitempty"`
	Internal   bool              `json:"internal,omitzero"`
	NoIPv4     bool              `json:"disable_ipv4,omitzero"`
	IPv6       bool              `json:"enable_ipv6,omitzero"`
	IPAM       []Pool            `json:"ipam,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// Pool is one subnet, in the file's words.
type Pool struct {
	Subnet  string            `json:"subnet,omitzero"`
	Range   string            `json:"ip_range,omitzero"`
	Gateway string            `json:"gateway,omitzero"`
	Aux     map[string]string `json:"aux_addresses,omitempty"`
}

// Volume is a named volume to be.
type Volume struct {
	Name     string     `json:"name"`
	Key      string     `json:"key"`
	External bool       `json:"external,omitempty"`
	Spec     VolumeSpec `json:"spec"`
}

type VolumeSpec struct {
	Driver     string            `json:"driver,omitzero"`
	DriverOpts map[string]string `json:"driver_opts,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// Spec is all of a container that makes it this container and not another: when one of these fields changes, the
// container is recreated. It is written as JSON into a label of the container (see Encode), in the
// words of the Compose file, so that a later plan can name the field that differs.
//
// Rules for a new field: leave it out when zero (omitzero, or omitempty for maps), and let zero mean what
// programs before the field did. Then no hash of an existing container changes.
type Spec struct {
	Image       string            `json:"image"`
	Platform    string            `json:"platform,omitzero"`
	Command     []string          `json:"command,omitzero"` // nil and empty: bundle.Args
	Entrypoint  []string          `json:"entrypoint,omitzero"`
	Environment map[string]string `json:"environment,omitempty"`
	Unset       []string          `json:"unset,omitempty"` // variables of the image that the container does not have
	WorkingDir  string            `json:"working_dir,omitzero"`
	User        string            `json:"user,omitzero"`
	GroupAdd    []string          `json:"group_add,omitempty"`
	Hostname    string            `json:"hostname,omitzero"`
	Domainname  string            `json:"domainname,omitzero"`
	Init        bool              `json:"init,omitzero"`
	TTY         bool              `json:"tty,omitzero"`
	StdinOpen   bool              `json:"stdin_open,omitzero"`
	StopSignal  string            `json:"stop_signal,omitzero"`
	StopGrace   *time.Duration    `json:"stop_grace_period,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Sysctls     map[string]string `json:"sysctls,omitempty"`
	Ulimits     map[string]Ulimit `json:"ulimits,omitempty"`

	ReadOnly bool     `json:"read_only,omitzero"`
	ShmSize  int64    `json:"shm_size,omitzero"`
	Mounts   []Mount  `json:"volumes,omitempty"`
	Tmpfs    []Mount  `json:"tmpfs,omitempty"`
	Configs  []File   `json:"configs,omitempty"`
	Secrets  []File   `json:"secrets,omitempty"`
	Devices  []Device `json:"devices,omitempty"`

	DeviceRequests []DeviceRequest `json:"device_requests,omitempty"`

	DeviceRules []string `json:"device_cgroup_rules,omitempty"`
	VolumesFrom []string `json:"volumes_from,omitempty"` // SERVICE[:MODE] or container:NAME[:MODE]

	Networks    map[string]Endpoint `json:"networks,omitempty"`    // by name on the host
	NetworkMode string              `json:"network_mode,omitzero"` // "", none, host, service:<name>, container:<name>
	Ports       []Port              `json:"ports,omitempty"`
	Expose      []string            `json:"expose,omitempty"`
	DNS         []string            `json:"dns,omitempty"`
	DNSSearch   []string            `json:"dns_search,omitempty"`
	DNSOpt      []string            `json:"dns_opt,omitempty"`
	ExtraHosts  []HostEntry         `json:"extra_hosts,omitempty"`
	MacAddress  string              `json:"mac_address,omitzero"`

	ExternalLinks []string `json:"external_links,omitempty"` // CONTAINER[:ALIAS]

	CapAdd      []string `json:"cap_add,omitempty"`
	CapDrop     []string `json:"cap_drop,omitempty"`
	Privileged  bool     `json:"privileged,omitzero"`
	SecurityOpt []string `json:"security_opt,omitempty"`
	IPC         string   `json:"ipc,omitzero"`
	PID         string   `json:"pid,omitzero"`
	UTS         string   `json:"uts,omitzero"`
	Cgroup      string   `json:"cgroup,omitzero"`

	Resources    Resources `json:"resources,omitzero"`
	CgroupParent string    `json:"cgroup_parent,omitzero"`
	OOMScoreAdj  int       `json:"oom_score_adj,omitzero"`

	Restart     RestartPolicy `json:"restart,omitzero"`
	HealthCheck *HealthCheck  `json:"healthcheck,omitempty"`
	Logging     Logging       `json:"logging,omitzero"`

	PreStart  []InitStep `json:"pre_start,omitempty"`
	PostStart []Hook     `json:"post_start,omitempty"`
	PreStop   []Hook     `json:"pre_stop,omitempty"`
}

// InitStep is a command that is run in a container of its own before the start of the service's: once for the service, or for each replica.
type InitStep struct {
	Hook
	Image      string `json:"image,omitzero"` // "" = the service's
	PerReplica bool   `json:"per_replica,omitzero"`
}

// Hook is a command that is run in a container beside its own.
type Hook struct {
	Command     []string          `json:"command,omitempty"`
	User        string            `json:"user,omitzero"`
	Privileged  bool              `json:"privileged,omitzero"`
	WorkingDir  string            `json:"working_dir,omitzero"`
	Environment map[string]string `json:"environment,omitempty"` // on top of the container's
}

type Ulimit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// Mount is a volume, bind, tmpfs or image. Source of a volume is its name on the host, "" = anonymous; of an image, its reference.
type Mount struct {
	Type           string            `json:"type"`
	Source         string            `json:"source,omitzero"`
	Target         string            `json:"target"`
	ReadOnly       bool              `json:"read_only,omitzero"`
	Propagation    string            `json:"propagation,omitzero"`
	Recursive      string            `json:"recursive,omitzero"`
	CreateHostPath bool              `json:"create_host_path,omitzero"`
	IDMap          string            `json:"x-idmap,omitzero"` // bind: "" or MatchUser
	NoCopy         bool              `json:"nocopy,omitzero"`
	Subpath        string            `json:"subpath,omitzero"`
	Size           int64             `json:"size,omitzero"`
	Mode           uint32            `json:"mode,omitzero"`
	Options        []string          `json:"options,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
}

// MatchUser is the Mount.IDMap by which the owner of a bind's source is the container's user in the container.
const MatchUser = "match-user"

// eachMounted calls do for the images that s mounts beside the one that it runs, with their keys in the file.
func (s *Spec) eachMounted(do func(ref, at string)) {
	for i, m := range s.Mounts {
		if m.Type == "image" {
			do(m.Source, fmt.Sprintf("volumes[%d].source", i))
		}
	}
}

// EachImage calls do for each image that a container of s has in it: the one that it runs, and those that it mounts, with their keys in the
// file. One may come more than once.
func (s *Spec) EachImage(do func(ref, at string)) {
	do(s.Image, "image")
	s.eachMounted(do)
}

// File is a config or secret in a container. Its bytes are not part of a Spec, which ends up in a label: Digest stands
// for them, and they are found again by Source.
type File struct {
	Source string  `json:"source"`
	Target string  `json:"target"`
	UID    string  `json:"uid,omitzero"`
	GID    string  `json:"gid,omitzero"`
	Mode   *uint32 `json:"mode,omitempty"`
	Path   string  `json:"file,omitzero"`   // host file whose content it is
	Digest string  `json:"digest,omitzero"` // sha256 of the content
}

type Device struct {
	Source      string `json:"source"`
	Target      string `json:"target"`
	Permissions string `json:"permissions,omitzero"`
}

// DeviceRequest asks for devices that the files of their vendors describe: gpus, reservations of devices, CDI devices. Count -1 = all.
type DeviceRequest struct {
	Driver       string   `json:"driver,omitzero"`
	Count        int64    `json:"count,omitzero"`
	IDs          []string `json:"device_ids,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
}

type Port struct {
	HostIP       string `json:"host_ip,omitzero"`
	Published    uint16 `json:"published,omitzero"`
	PublishedEnd uint16 `json:"published_end,omitzero"`
	Target       uint16 `json:"target"`
	Protocol     string `json:"protocol,omitzero"`
	// Asked is what the file publishes, where Published was chosen because somebody else has that; 0 = Published is the file's.
	Asked uint16 `json:"asked,omitzero"`
}

// meets says whether p and q may come to one port of the host, on whichever addresses: each is a port, or any of a range.
func (p Port) meets(q Port) bool {
	return p.Protocol == q.Protocol && p.Published != 0 && q.Published != 0 && q.Published <= max(p.Published, p.PublishedEnd) && p.Published <= max(q.Published, q.PublishedEnd)
}

// AsAsked is p as the file has it.
func (p Port) AsAsked() Port {
	if p.Asked != 0 {
		p.Published, p.Asked = p.Asked, 0
	}
	return p
}

type HostEntry struct {
	Host    string `json:"host"`
	Address string `json:"address"`
}

// Endpoint is a membership of a network. The service's and container's names are DNS names anyway.
type Endpoint struct {
	Aliases    []string `json:"aliases,omitempty"`
	IPv4       string   `json:"ipv4_address,omitzero"`
	IPv6       string   `json:"ipv6_address,omitzero"`
	LinkLocal  []string `json:"link_local_ips,omitempty"`
	Sysctls    string   `json:"sysctls,omitzero"` // of the interface, in docker's words
	MacAddress string   `json:"mac_address,omitzero"`
	Interface  string   `json:"interface_name,omitzero"`
	Priority   int      `json:"priority,omitzero"`
	GwPriority int      `json:"gw_priority,omitzero"`
}

// Resources: zero = no limit. Bytes, µs, -1 = no bound.
type Resources struct {
	CPUs              float64 `json:"cpus,omitzero"`
	CPUShares         uint64  `json:"cpu_shares,omitzero"`
	CPUQuota          int64   `json:"cpu_quota,omitzero"`
	CPUPeriod         uint64  `json:"cpu_period,omitzero"`
	CPUSet            string  `json:"cpuset,omitzero"`
	Memory            int64   `json:"memory,omitzero"`
	MemoryReservation int64   `json:"memory_reservation,omitzero"`
	MemorySwap        int64   `json:"memory_swap,omitzero"`
	MemorySwappiness  *uint64 `json:"memory_swappiness,omitempty"`
	OOMKillDisable    bool    `json:"oom_kill_disable,omitzero"`
	Pids              int64   `json:"pids,omitzero"`
	BlkIO             *BlkIO  `json:"blkio_config,omitempty"`
}

// BlkIO weighs and bounds what a container reads from and writes to block devices.
type BlkIO struct {
	Weight       uint16       `json:"weight,omitzero"`
	WeightDevice []DeviceRate `json:"weight_device,omitempty"`
	ReadBps      []DeviceRate `json:"device_read_bps,omitempty"`
	WriteBps     []DeviceRate `json:"device_write_bps,omitempty"`
	ReadIOps     []DeviceRate `json:"device_read_iops,omitempty"`
	WriteIOps    []DeviceRate `json:"device_write_iops,omitempty"`
}

// DeviceRate is a weight, or a bound in bytes or operations per second, for the device that is Path on the host.
type DeviceRate struct {
	Path string `json:"path"`
	Rate int64  `json:"rate"`
}

// RestartPolicy is a restart policy. Name "" = no.
type RestartPolicy struct {
	Name        string        `json:"name,omitzero"`
	MaxAttempts int           `json:"max_attempts,omitzero"`
	Delay       time.Duration `json:"delay,omitzero"`
	Window      time.Duration `json:"window,omitzero"`
}

// Again says whether p starts a container again that has exited with code, as long as it has attempts left.
func (p RestartPolicy) Again(code int) bool {
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != 0
	}
	return false
}

// HealthCheck of the file; zero values mean the image's.
type HealthCheck struct {
	Test          []string      `json:"test,omitempty"`
	Interval      time.Duration `json:"interval,omitzero"`
	Timeout       time.Duration `json:"timeout,omitzero"`
	StartPeriod   time.Duration `json:"start_period,omitzero"`
	StartInterval time.Duration `json:"start_interval,omitzero"`
	Retries       int           `json:"retries,omitzero"`
	Disable       bool          `json:"disable,omitzero"`
}

type Logging struct {
	Driver  string            `json:"driver,omitzero"`
	Options map[string]string `json:"options,omitempty"`
}
