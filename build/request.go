package build

import (
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/reference"
	"github.com/stackrun/stack/network"
)

// Request is an image to be.
type Request struct {
	Context    string // absolute directory of the sources; "" = there are none
	Dockerfile string // absolute path; "" with Inline
	Inline     string // the text itself

	// Contexts are further sources by name: an absolute directory, or docker-image://REF. A stage of the same
	// name gives way to them, as does an image that a FROM or a --from names.
	Contexts map[string]string
	Args     map[string]string // of --build-arg; one that no ARG declares is told
	Target   string            // the stage to be built; "" = the last one
	Labels   map[string]string // over those of the Dockerfile
	Tags     []string          // names of the image; the first is the one that is spoken of

	Platform v1.Platform // zero = this host's; another one is refused by name

	// Auths are credentials by registry host, in place of those that this host has stored.
	Auths map[string]*image.Auth
	// FindAuth is asked for the hosts that are not among Auths; nil, also what it returns, is what this host has stored.
	FindAuth func(host string) (*image.Auth, error)

	NoCache       bool               // every step is done anew
	NoCacheFilter []string           // the steps of these stages are
	CacheFrom     []buildcache.Place // steps that this host does not know are taken from there; one that cannot be read is told
	CacheTo       []buildcache.Place // the steps are put there; one that cannot be written fails the build, which has made its image then. Directories are absolute
	Pull          bool               // base images are pulled also when they are here

	// Offline fetches nothing: base images are taken as they are here, Pull or not, and what is not here is an error. What a RUN does is its own affair.
	Offline bool

	Network    string // of RUN: "" or default, none, host
	ExtraHosts []network.HostsEntry
	Secrets    []Secret
	// FindSecret is asked for those that are not among Secrets; nil, also what it returns, is one that was not given.
	FindSecret func(id string) (*Secret, error)
	Agents     []Agent
	// FindAgent is asked for those that are not among Agents; nil, also what it returns, is one that was not given.
	FindAgent  func(id string) (*Agent, error)
	ShmSize    int64 // bytes of /dev/shm; 0 = the runtime's default
	Ulimits    []specs.POSIXRlimit
	Privileged bool // every RUN is privileged, and RUN --security=insecure is allowed

	// StepsOnly does the steps, for builds to come, and records no image: what is returned has but its ID.
	StepsOnly bool
}

// auth is what is shown to the registry of ref; nil = what this host has stored.
func (r *Request) auth(ref string) (*image.Auth, error) {
	p, err := reference.Parse(ref)
	if err != nil {
		return nil, nil
	}
	if a := r.Auths[p.Host]; a != nil || r.FindAuth == nil {
		return a, nil
	}
	return r.FindAuth(p.Host)
}

// Secret is what RUN --mount=type=secret,id=ID gives to its command alone.
type Secret struct {
	ID     string
	Source string // absolute path of a file; "" = Value
	Value  []byte
	UID    *int // nil = as the RUN says, or root
	GID    *int
	Mode   *os.FileMode
}

// Phase says what has become of a step.
type Phase string

const (
	Started Phase = "started"
	Output  Phase = "output" // the command of a RUN has written something
	Cached  Phase = "cached"
	Done    Phase = "done"
	Failed  Phase = "failed"
	Warning Phase = "warning" // Text is a sentence; the build goes on
)

// Progress is one thing that has happened.
type Progress struct {
	Step, Steps int    // the number of the step in its stage, from 1, and how many there are; 0 = no step of the Dockerfile's
	At, Of      int    // the same over all stages that are built, in the order of the file, as docker's classic builder counts; 0 = an ONBUILD asks for it
	Stage       string // its name, or stage-N of one without, as BuildKit calls it; "" where the file has one stage only
	Text        string // the instruction as it is written, or what is being done
	Phase       Phase
	Output      []byte
	Took        time.Duration
}
