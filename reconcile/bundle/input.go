package bundle

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/runtime/mount"
)

// Input is everything about one container.
type Input struct {
	ID        string // 64 hex digits
	Name      string // shop-web-1
	Project   string
	Service   string
	Number    int
	OneOff    bool
	Slug      string // of a one-off
	Remove    bool   // one-off: goes when it ends
	Aliases   bool   // one-off: answers to its service's names
	Succeeds  string // id of the container that it is made to replace, "" = none
	StepOf    string // one-off: see FactStepOf, "" = none
	Labels    map[string]string
	CreatedAt time.Time

	// Standalone, unless nil, is of a container that belongs to no file. Such a one has no Project, Service, Number and Labels, and is no one-off.
	Standalone *standalone.Traits

	Spec  plan.Spec
	Image v1.Config
	// ImageID is the image's id, "sha256:…".
	ImageID string

	Root      []mount.Mount     // of the image: the writable snapshot
	Mounts    []mount.Mount     // of the volumes, ordered by target
	Anonymous map[string]string // target → volume
	Mounted   map[string]string // reference → id, of the images among Mounts
	Devices   []Device
	Env       []string            // NAME=VALUE of its devices; they win over those of image and file
	Groups    []string            // of its devices, besides the file's
	BlockIO   *specs.LinuxBlockIO // of Spec.Resources.BlkIO, with the numbers of its devices
	Seccomp   []byte              // content of the profile that security_opt seccomp=FILE names
	Available []string            // capabilities that the host can give
	Hostname  string              // the host's name, for a container on its network; "" = not known
	LogPath   string              // "" = no log

	Rows, Cols uint16 // of the terminal at its start; 0 = not known
}
