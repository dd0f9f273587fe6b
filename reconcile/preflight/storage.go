package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/idmap"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/volume"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// checkMounts finds bind sources that are not there and may not be made.
func (s *survey) checkMounts(name string) {
	for i, m := range s.want.Services[name].Spec.Mounts {
		if m.IDMap != "" {
			s.checkOwners(name, i)
			continue
		}
		socket := volume.NamesSocket(m.Source)
		if m.Type != "bind" || m.CreateHostPath && !socket || volume.IsDockerSocket(m.Source) {
			continue
		}
		_, err := os.Stat(m.Source)
		if err == nil {
			continue
		}
		d := &diag.Diagnostic{Code: "missing-bind-source", Summary: "a directory or file of the host that is to be mounted is not there", Detail: err.Error(),
			Hint: "create it, or set create_host_path: true", Address: fmt.Sprintf("services.%s.volumes[%d]", name, i)}
		if socket {
			d.Summary, d.Hint = "a socket of the host that is to be mounted is not there", "start the program that makes it, or correct the path"
		}
		s.add(d)
	}
}

// checkOwners finds a bind that is to match the container's user and cannot: it is not there, has no owner but root, or is of a kernel or a file system that cannot show another one.
func (s *survey) checkOwners(name string, i int) {
	c := &s.want.Services[name].Spec
	m := c.Mounts[i]
	at := fmt.Sprintf("services.%s.volumes[%d]", name, i)
	d := &diag.Diagnostic{Code: "bad-idmap", Summary: "a bind cannot have x-idmap", Address: s.written(at+".bind.x-idmap", at)}
	var st unix.Stat_t
	switch err := unix.Stat(m.Source, &st); {
	case err == unix.ENOENT:
		d.Detail, d.Hint = m.Source+" is not there, and nobody would know whose it is to be", "make it, as the user whose it is to be"
	case err != nil:
		d.Detail = m.Source + ": " + err.Error()
	case st.Uid == 0 && !rootly(c.User):
		d.Detail = fmt.Sprintf("%s belongs to root and the container's user is %s, who would make files of root's on the host", m.Source, c.User)
		d.Hint = "give the source another owner, or leave x-idmap out"
	default:
		err := idmap.Check(m.Source, m.Recursive != "disabled")
		if err == nil {
			return
		}
		d.Detail, d.Err = m.Source+": "+err.Error(), err
		d.Hint = "leave x-idmap out, and run the container as the owner: user: \"" + fmt.Sprintf("%d:%d", st.Uid, st.Gid) + "\""
		if m.Recursive == "" {
			d.Hint += "; or write recursive: disabled, if it is what is mounted below it"
		}
	}
	s.add(d)
}

// rootly says whether user may be root: it is, or the image says who.
func rootly(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "0" || name == "root"
}

// checkVolumes asks the volume driver about the volumes that are to be made.
func (s *survey) checkVolumes() {
	s.checkMemoryVolumes()
	for _, step := range s.plan.Steps {
		op, ok := step.Op.(plan.CreateVolume)
		if !ok {
			continue
		}
		w := s.want.Volumes[op.Name]
		if err := volume.Check(bundle.Volume(s.want.Project, w)); err != nil {
			s.refuse("bad-volume", "a volume cannot be made as the file says", s.written("volumes."+w.Key+".driver_opts", "volumes."+w.Key), err)
		}
	}
}

// checkMemoryVolumes finds volumes, of type tmpfs mostly, that two containers are to have: each would have one of its own.
func (s *survey) checkMemoryVolumes() {
	for _, name := range slices.Sorted(maps.Keys(s.want.Volumes)) {
		w := s.want.Volumes[name]
		kind := volume.Single(bundle.Volume(s.want.Project, w))
		if kind == "" {
			continue
		}
		users := 0
		for _, service := range s.want.Services {
			if slices.ContainsFunc(service.Spec.Mounts, func(m plan.Mount) bool { return m.Type == "volume" && m.Source == name }) {
				users += service.Replicas
			}
		}
		if users > 1 {
			s.add(&diag.Diagnostic{Code: "shared-memory-volume", Summary: "a volume of type " + kind + " is for one container", Detail: fmt.Sprintf("%d containers are to have volume %s, and each would mount one of its own", users, w.Key),
				Hint: "use a volume on disk, or keep it with one service", Address: s.written("volumes."+w.Key+".driver_opts", "volumes."+w.Key)})
		}
	}
}

// checkSubpaths finds subpaths of volumes that are not there. One that another container of the project may make first is
// that one's business: a service that prepares a volume for others is common.
func (s *survey) checkSubpaths(ctx context.Context) error {
	var have []volume.State
	for name := range s.begins {
		for i, m := range s.want.Services[name].Spec.Mounts {
			if m.Type != "volume" || m.Subpath == "" || m.Source == "" || s.writes(m.Source, name) {
				continue
			}
			if have == nil {
				var err error
				if have, err = s.drivers.Volumes.List(ctx); err != nil {
					return fmt.Errorf("cannot list volumes: %w", err)
				}
			}
			var err error = fs.ErrNotExist // of a volume that is to be made
			apart := false
			for _, v := range have {
				if v.Config.ID == m.Source {
					apart = volume.Apart(v.Config)
					err = beneath(v.Path, m.Subpath)
				}
			}
			w, known := s.want.Volumes[m.Source]
			if apart || known && volume.Apart(bundle.Volume(s.want.Project, w)) {
				continue // its start says so
			}
			if isNotExist(err) && w.Spec.DriverOpts["device"] != "" {
				err = beneath(w.Spec.DriverOpts["device"], m.Subpath)
			}
			if err != nil {
				s.add(&diag.Diagnostic{Code: "missing-subpath", Summary: "the subpath of a volume is not there", Detail: fmt.Sprintf("%s in volume %s: %v", m.Subpath, m.Source, err),
					Hint: "create it in the volume first, or mount the whole volume", Address: s.written(fmt.Sprintf("services.%s.volumes[%d].volume.subpath", name, i)), Err: err})
			}
		}
	}
	return nil
}

// writes says whether a service other than but mounts the volume writable.
func (s *survey) writes(vol, but string) bool {
	for name, service := range s.want.Services {
		for _, m := range service.Spec.Mounts {
			if name != but && m.Type == "volume" && m.Source == vol && !m.ReadOnly && service.Replicas > 0 {
				return true
			}
		}
	}
	return false
}

// beneath says whether dir has path; links that lead out of dir are as good as none.
func beneath(dir, path string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = root.Stat(filepath.Clean(path))
	return err
}
