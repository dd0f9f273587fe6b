// Package driver says what reconcile needs of the rooms that touch the kernel. The interfaces live here, with their
// consumer; the rooms return structs that satisfy them. Other packages of reconcile change the host only through
// these interfaces. internal/deps lists those that may import a room, for its values.
//
// A worked sequence, one container's life:
//
//	Images.Pull → Images.Resolve → Networks.Create → Volumes.Create
//	Volumes.Mounts → Images.Prepare (→ Images.View) → Networks.Setup → Containers.Create → Containers.Start
//	… Containers.Kill → Containers.Wait → Containers.Delete → Networks.Teardown → Images.Remove
//
// Every Create, Setup, Delete, Teardown and Remove is idempotent. If it is done twice, or again after a crash in its
// middle, the result is the same. To delete what does not exist is success.
package driver

import (
	"context"
	"io"
	"net/netip"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/volume"
)

// Set is every driver that a pass uses.
type Set struct {
	Images     Images
	Networks   Networks
	Volumes    Volumes
	Containers Containers
	Builder    Builder
	Library    Library // nil in sets that serve no clients of the Docker Engine API
}

// Sweeper is what every room can do about what is left of work that was cut off.
type Sweeper interface {
	// Sweep names what no record of the room's knows and, with remove, removes it: a sentence's worth each, for people. Precondition:
	// nothing of the room is being made or removed, but for what it guards itself; ErrConflict when such work is under way.
	Sweep(ctx context.Context, remove bool) ([]string, error)
}

// Images is implemented by *image.Store.
type Images interface {
	Sweeper
	// Resolve finds a local image by reference, digest or id. errdefs.ErrNotFound when there is none for p.
	Resolve(ctx context.Context, ref string, p v1.Platform) (image.Info, error)
	// Find asks whether Pull could fetch ref, and makes nothing. Errors as Pull's.
	Find(ctx context.Context, ref string, p v1.Platform) error
	// Pull fetches ref and unpacks it. Two pulls of one image are one. Returns the image as it now is.
	Pull(ctx context.Context, ref string, p v1.Platform, progress func(image.Progress)) (image.Info, error)
	// Prepare gives the writable snapshot of container key on image id, making it if it is not there.
	Prepare(ctx context.Context, key string, id v1.Hash) ([]mount.Mount, error)
	// View gives the mount of all that image id has, read-only, for container key, which has a snapshot: target and subpath are for the caller
	// to set, and the source is id. The snapshot holds the image too. ErrNotFound when the snapshot or the image is not there.
	View(ctx context.Context, key string, id v1.Hash) (mount.Mount, error)
	// Remove deletes the snapshot key. Missing = success.
	Remove(ctx context.Context, key string) error
	// Snapshots lists the keys that have a snapshot.
	Snapshots(ctx context.Context) ([]string, error)
	List(ctx context.Context) ([]image.Info, error)
	// Load imports a docker-archive or OCI layout tar.
	Load(ctx context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error)
	// Delete removes a reference, and the image when it was the last one. ErrConflict while a snapshot uses it.
	Delete(ctx context.Context, ref string) error
	// Push gives the local image ref to the registry that the name says.
	Push(ctx context.Context, ref string, o image.PushOptions, progress func(image.Progress)) (image.Pushed, error)
	// CommitSnapshot makes an image of what container key has written, on the image that it stands on; change makes the configuration.
	CommitSnapshot(ctx context.Context, key string, change func(*v1.Config) error, author image.Author, refs ...string) (image.Info, error)
}

// Library is what is done with images by name and by id, for nobody's container. It is implemented by *image.Store.
type Library interface {
	Resolve(ctx context.Context, ref string, p v1.Platform) (image.Info, error)
	List(ctx context.Context) ([]image.Info, error)
	Load(ctx context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error)
	Push(ctx context.Context, ref string, o image.PushOptions, progress func(image.Progress)) (image.Pushed, error)
	// PullAs is Images.Pull with credentials of the caller's.
	PullAs(ctx context.Context, ref string, p v1.Platform, auth *image.Auth, progress func(image.Progress)) (image.Info, error)
	// Tag gives image id further names, which leave the images that had them.
	Tag(ctx context.Context, id v1.Hash, refs ...string) (image.Info, error)
	// DeleteImage is Images.Delete in docker's sense, and says what has gone.
	DeleteImage(ctx context.Context, ref string, o image.DeleteOptions) (image.Removal, error)
	// ConfigFile is the whole configuration of a local image.
	ConfigFile(ctx context.Context, id v1.Hash) (*v1.ConfigFile, error)
	// Layers are the layers of a local image, lowest first.
	Layers(ctx context.Context, id v1.Hash) ([]image.LayerInfo, error)
	// Changes are the paths that container key has changed of its image. errdefs.ErrNotFound when it has no snapshot.
	Changes(ctx context.Context, key string) ([]image.Change, error)
	// Manifest is what a registry has under ref.
	Manifest(ctx context.Context, ref string, auth *image.Auth) (image.RemoteManifest, error)
	// CheckAuth asks the registry host whether it knows auth.
	CheckAuth(ctx context.Context, host string, auth image.Auth) error
	// Import makes an image of one layer out of a tar stream of a root file system.
	Import(ctx context.Context, r io.Reader, p v1.Platform, change func(*v1.Config) error, comment string, refs ...string) (image.Info, error)
	// Save writes local images as one archive.
	Save(ctx context.Context, w io.Writer, p v1.Platform, refs ...string) error
}

// Builder is implemented by *build.Builder.
type Builder interface {
	Sweeper
	// Build makes the image that r describes and gives it its names. progress may be nil. An error with a place in the Dockerfile is a *build.Error;
	// ErrInvalidArgument and ErrNotSupported mean that nothing has run. When ctx ends, what the build has made but the steps that are done goes.
	Build(ctx context.Context, r build.Request, progress func(build.Progress)) (image.Info, error)
	// Lacks names what a build of r would have to fetch, and changes nothing. awaited says of a reference that it will be there by then.
	Lacks(ctx context.Context, r build.Request, awaited func(ref string) bool) ([]*build.Error, error)
	// ContextDir makes an empty directory for the sources of one build, for the caller to remove.
	ContextDir() (string, error)
	// Clear forgets what earlier builds have done, and returns how many bytes of layers they had. ErrConflict while a build is under way.
	Clear(ctx context.Context) (int64, error)
}

// Networks is implemented by *network.Driver.
type Networks interface {
	Sweeper
	Create(ctx context.Context, c network.Config) (network.State, error)
	// CheckNetwork says why Create would refuse c on this host, where that is not another network's doing: ErrInvalidArgument and ErrNotSupported name the
	// setting, ErrNotFound the parent link that is not there. Changes nothing.
	CheckNetwork(ctx context.Context, c network.Config) error
	// Delete removes the network. ErrConflict while it has endpoints.
	Delete(ctx context.Context, id string) error
	List(ctx context.Context) ([]network.State, error)
	// CheckPorts says which of ports cannot be published now, naming the owner of each; what is held for holder can. Changes nothing.
	CheckPorts(ctx context.Context, holder string, ports []network.Port) error
	// HoldPort keeps a port for the sandboxes whose Holder is holder, until one takes it over or ReleasePorts; ErrConflict names the owner. It does not outlive the
	// process.
	HoldPort(ctx context.Context, holder string, p network.Port) (network.Port, error)
	// ReleasePorts frees what is held and was not taken over.
	ReleasePorts(ctx context.Context, holder string)
	// KeepAddresses keeps addresses, by the id of their network, for those of holder's containers that ask for one of them: another gets it only when no
	// other is free. It replaces what was kept for holder, and does not outlive the process. The networks need not be there.
	KeepAddresses(holder string, addrs map[string][]netip.Addr)
	Setup(ctx context.Context, c network.SandboxConfig) (network.Sandbox, error)
	Teardown(ctx context.Context, containerID string) error
	// Handover lets container to, which was set up to succeed from, take over from's names and published ports. No connection
	// fails on the way, and those that are there stay with from. from without a sandbox = success; ErrNotFound when to has none.
	Handover(ctx context.Context, from, to string) error
	// Rewire puts the sandbox of a running container on other networks; c is what Setup was given but for its Endpoints. What stays keeps its addresses and
	// connections. ErrNotFound: no sandbox, or no such network; ErrConflict: another setting differs, an address or a port is taken. Idempotent.
	Rewire(ctx context.Context, c network.SandboxConfig) (network.Sandbox, error)
	Sandboxes(ctx context.Context) ([]network.Sandbox, error)
	// Mend repairs the sandbox of a running container in place, which keeps its addresses and its processes: veths, addresses, default
	// routes, published ports, firewall, DNS. Where the file of its namespace, or what is bound there, is gone, it is bound again
	// from nsPath, a /proc/PID/ns/net that the caller knows to be the container's. c is what Setup was given. The networks must be whole
	// (Create mends those). ErrConflict when the sandbox was set up with another configuration. Idempotent.
	Mend(ctx context.Context, c network.SandboxConfig, nsPath string) (network.Sandbox, error)
	// Watch delivers coalesced hints that a network or a sandbox may have been changed by other hands: receivers List and look at Problem.
	// There are false alarms, the driver's own work among them; a change that shows as a Problem is never missed. The channel is
	// closed when ctx ends, or when the kernel lets no more be watched: then Watch again says why (ErrNotSupported). Nothing is polled: while
	// nothing changes, nothing runs.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Gateway is the address that host-gateway means for a container on these networks.
	HostGateway(ctx context.Context, networks []string) (network.HostsEntry, error)
}

// Volumes is implemented by *volume.Driver.
type Volumes interface {
	Sweeper
	Create(ctx context.Context, c volume.Config) (volume.State, error)
	Delete(ctx context.Context, id string) error
	// List is every volume. One whose directory is gone has a Problem; Create with the same Config mends it, with an empty directory.
	List(ctx context.Context) ([]volume.State, error)
	// Snapshot copies what is in volumes of a project, all or none, while nobody writes to them. ErrAlreadyExists, ErrNotFound, ErrNotSupported.
	Snapshot(ctx context.Context, project, name string, ids []string) (volume.Snapshot, error)
	// Snapshots are those of all projects, by project and time.
	Snapshots(ctx context.Context) ([]volume.Snapshot, error)
	DeleteSnapshot(ctx context.Context, project, name string) error
	// Restore gives volumes the content of a snapshot, all or none, also when the process ends meanwhile; one that is gone is made again. Nothing
	// that runs may have one of them.
	Restore(ctx context.Context, project, name string, ids []string) error
	// Clone gives volume to, which is made if it is not there, the content of another. Nothing that runs may have to, and nobody may write to from.
	Clone(ctx context.Context, from string, to volume.Config) error
	// Removed are the volumes that were removed and are kept for a while, the latest first. Undelete brings the one back that was removed last of that name:
	// ErrNotFound, ErrAlreadyExists.
	Removed(ctx context.Context) ([]volume.Removed, error)
	Undelete(ctx context.Context, id string) error
	// Watch is as Networks.Watch, for volumes and their directories.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Mounts turns uses into mounts ordered by target. It fails when a bind's source is missing
	// and may not be created, naming the path.
	Mounts(ctx context.Context, uses []volume.Use) ([]mount.Mount, error)
	// Prepare makes mounts ready for a start, and returns them with the addresses that the servers named in them have now. A bind's missing source is made where it may be.
	Prepare(ctx context.Context, mounts []mount.Mount) ([]mount.Mount, error)
}

// Containers is implemented by *runtime.Driver.
type Containers interface {
	Sweeper
	Create(ctx context.Context, c runtime.Config) (runtime.State, error)
	// Replace gives a container that does not run another Config: what its start found out. ErrConflict when it runs.
	Replace(ctx context.Context, c runtime.Config) error
	// Reserve makes certain that a container can be started again once it has ended, as far as the disk has to take something for that. Whoever stops one to
	// start it again asks for it first.
	Reserve(ctx context.Context, id string) error
	// Revise gives a container, in whichever state, a Config that says something else in its Facts and the limits of its resources, and nothing else
	// (ErrInvalidArgument). Those of one that runs are in force when it returns.
	Revise(ctx context.Context, c runtime.Config) (runtime.State, error)
	// Start starts a created or stopped container and returns when execve succeeded, or with
	// a *runtime.StartError that says which stage failed.
	Start(ctx context.Context, id string) (runtime.State, error)
	// Kill sends sig to the container's init. Not running = success.
	Kill(ctx context.Context, id string, sig unix.Signal) error
	// Pause freezes every process of a running container, Resume lets them go on. ErrConflict when it does not run. Idempotent.
	Pause(ctx context.Context, id string) error
	Resume(ctx context.Context, id string) error
	// Stop sends the stop signal, waits for grace, then kills every process of the container.
	// grace < 0 means the container's own grace period.
	Stop(ctx context.Context, id string, grace time.Duration) (process.Exit, error)
	// StopBy is Stop with another signal than the container's own, which is sent also where grace is 0. 0 is the container's own.
	StopBy(ctx context.Context, id string, sig unix.Signal, grace time.Duration) (process.Exit, error)
	// Delete removes a container that does not run. ErrConflict when it does.
	Delete(ctx context.Context, id string) error
	// List and State carry Problem: what of a running container is not as recorded.
	List(ctx context.Context) ([]runtime.State, error)
	// Select is List of the containers whose labels which wants. It does not look at the others.
	Select(ctx context.Context, which func(labels map[string]string) bool) ([]runtime.State, error)
	State(ctx context.Context, id string) (runtime.State, error)
	// Mend puts back what can be put back while container id runs: its cgroups and their limits. A Problem in the State that it returns
	// needs a restart (a mount is gone). Not running, or without a Problem = success. Idempotent.
	Mend(ctx context.Context, id string) (runtime.State, error)
	// Watch is as Networks.Watch, for the cgroups, mounts and records of containers. Starts and exits are Events.
	Watch(ctx context.Context) (<-chan struct{}, error)
	// Wait returns the exit of the current run; at once for a container that has stopped.
	Wait(ctx context.Context, id string) (process.Exit, error)
	Exec(ctx context.Context, id string, p runtime.Process, io process.IO) (process.Exit, error)
	// CopyIn writes the tar stream r into a container of any state, and never out of its root, whatever is in the stream or goes on in the container.
	// ErrInvalidArgument and ErrNotSupported: the stream has what is refused; ErrNotFound, ErrConflict: the destination does not fit.
	CopyIn(ctx context.Context, id string, o runtime.CopyIn, r io.Reader) error
	// CopyOut writes what is at a path of a container of any state to w, as a tar stream; ErrNotFound when there is nothing.
	CopyOut(ctx context.Context, id string, o runtime.CopyOut, w io.Writer) error
	// Export writes the root file system of a container of any state to w, without what is mounted in it. warn may be nil.
	Export(ctx context.Context, id string, w io.Writer, warn func(string)) error
	// CompareFiles says of each of all, in their order, whether a container of any state has it; RemoveFiles removes them, directories when they are
	// empty, and says which were there. Neither leaves its root. ErrConflict: what is to be removed is mounted read-only, or mounted on.
	CompareFiles(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error)
	RemoveFiles(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error)
	// Run starts container id with the caller's streams attached from its first byte on, calls started when
	// execve succeeded, and returns the exit.
	Run(ctx context.Context, id string, io process.IO, started func(runtime.State)) (process.Exit, error)
	// Attach connects to the container's own stdio until it ends or ctx does.
	Attach(ctx context.Context, id string, io process.IO) error
	// Resize sets the size of a running container's terminal. ErrConflict when it does not run.
	Resize(ctx context.Context, id string, size process.WinSize) error
	// Processes lists the processes of a container that runs or is paused, by pid. ErrConflict when it does neither.
	Processes(ctx context.Context, id string) ([]process.Info, error)
	// Listening lists the TCP ports that are listened on in the network namespace of a container that runs or is paused, ascending, but for those of
	// loopback addresses. ErrConflict when it does neither.
	Listening(ctx context.Context, id string) ([]int, error)
	// Usage is what a container uses that runs or is paused. ErrConflict when it does neither.
	Usage(ctx context.Context, id string) (process.Usage, error)
	// Events delivers state changes until ctx ends. Slow receivers lose events, never the latest of a container.
	Events(ctx context.Context) <-chan runtime.Event
}
