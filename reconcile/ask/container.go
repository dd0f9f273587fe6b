package ask

import (
	"strings"
	"time"

	"github.com/stackrun/stack/runtime/process"
)

// ContainerImage is a row of images: what a container was made from. Of an image that is not here any more only its name and ID are known.
type ContainerImage struct {
	Container  string    `json:"container"`
	Service    string    `json:"service"`
	Ref        string    `json:"ref"`                  // as the file names it
	Repository string    `json:"repository,omitempty"` // of Ref, if that is the name of an image, as users write it: ghcr.io/a/b
	Tag        string    `json:"tag,omitempty"`        // of Ref; "" when a digest decides
	ID         string    `json:"id"`
	Platform   string    `json:"platform,omitempty"`
	Size       int64     `json:"size,omitempty"`
	Created    time.Time `json:"created,omitzero"`
	PulledAt   time.Time `json:"pulledAt,omitzero"`
}

// Volume is a row of volumes.
type Volume struct {
	Name      string            `json:"name"`
	Driver    string            `json:"driver"`
	Path      string            `json:"path"`
	Labels    map[string]string `json:"labels"`
	Services  []string          `json:"services"` // whose containers have it, sorted
	Anonymous bool              `json:"anonymous,omitempty"`
}

// Container is one row of ps, and what exec, logs and wait look up.
type Container struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Project   string            `json:"project"`
	Service   string            `json:"service"`
	Replica   int               `json:"replica"`
	OneOff    bool              `json:"oneOff,omitempty"`
	Image     string            `json:"image"`
	Command   []string          `json:"command"`
	State     string            `json:"state"`               // created running restarting exited paused
	Health    string            `json:"health"`              // "", starting, healthy, unhealthy
	HealthLog []ProbeResult     `json:"healthLog,omitempty"` // the last five probes, oldest first
	Exit      *process.Exit     `json:"exit,omitempty"`
	Pid       int               `json:"pid,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
	StartedAt time.Time         `json:"startedAt"`
	Ports     []Publisher       `json:"ports"`
	Networks  map[string]string `json:"networks"` // name → address
	Mounts    []string          `json:"mounts"`
	Labels    map[string]string `json:"labels"`
	Restarts  int               `json:"restarts"`
	Orphan    bool              `json:"orphan,omitempty"`
	LogError  string            `json:"logError,omitempty"` // why output is not logged at present
	TTY       bool              `json:"tty,omitempty"`
	StdinOpen bool              `json:"stdinOpen,omitempty"`
}

// CommandLine is the container's command with words that have spaces in quotes, as docker ps shows it.
func (c *Container) CommandLine() string {
	quoted := make([]string, len(c.Command))
	for i, w := range c.Command {
		if quoted[i] = w; i > 0 && strings.Contains(w, " ") {
			quoted[i] = "'" + w + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// ProbeResult is one run of a health check.
type ProbeResult struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	ExitCode int       `json:"exitCode"` // -1: it could not be run
	Output   string    `json:"output"`
}

// Publisher is one published port, in the words of compose's ps --format json.
type Publisher struct {
	URL           string
	TargetPort    int
	PublishedPort int
	Protocol      string
	Asked         string `json:",omitempty"` // what the file publishes: PORT or FIRST-LAST; "" = any port, or none
}

// ProjectSummary is one row of ls.
type ProjectSummary struct {
	Name   string         `json:"name"`
	Files  []string       `json:"files"`  // as given to the last up; may be empty
	Dir    string         `json:"dir"`    // the project directory; "" = not known
	States map[string]int `json:"states"` // how many containers are in each state: running → 3
	// Isolated says that Name is this directory's alone.
	Isolated bool `json:"isolated,omitempty"`
}

// ContainerStats is what one container uses.
type ContainerStats struct {
	ID        string         `json:"id"`
	Container string         `json:"container"`
	Service   string         `json:"service"`
	Usage     *process.Usage `json:"usage,omitempty"` // nil of one that neither runs nor is paused
}

// ContainerProcesses is what runs in one container.
type ContainerProcesses struct {
	Container string         `json:"container"`
	Service   string         `json:"service"`
	Replica   int            `json:"replica"`
	Processes []process.Info `json:"processes"`
}
