package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/volume"
)

// AnonymousTargets are the paths for which a container gets an anonymous volume: those of the file without a source, and
// those that the image declares and nothing of the file covers.
func AnonymousTargets(s *plan.Spec, image *v1.Config) []string {
	taken := map[string]bool{}
	var targets []string
	for _, m := range slices.Concat(s.Mounts, s.Tmpfs) {
		taken[m.Target] = true
		if m.Type == "volume" && m.Source == "" {
			targets = append(targets, m.Target)
		}
	}
	for t := range image.Volumes {
		if t = path.Clean("/" + t); !taken[t] && t != "/" {
			targets = append(targets, t)
		}
	}
	slices.Sort(targets)
	return targets
}

// AnonymousName is the name of a fresh anonymous volume: 64 hex digits, as docker's are, and the same when
// the creation of container id is done twice.
func AnonymousName(id, target string) string {
	sum := sha256.Sum256([]byte(id + "\x00" + target))
	return hex.EncodeToString(sum[:])
}

// Contents finds the bytes of configs and secrets, which a Spec does not hold.
type Contents func(kind string, f plan.File) ([]byte, error)

// Uses lists everything that is to be mounted besides the root, images and the platform's own mounts.
func Uses(s *plan.Spec, anonymous map[string]string, contents Contents) ([]volume.Use, error) {
	var uses []volume.Use
	named := map[string]bool{}
	for _, m := range s.Mounts {
		named[m.Target] = true
		if m.Type == "image" {
			continue // no volume's
		}
		u := volume.Use{
			Kind: volume.Kind(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Propagation: m.Propagation, Recursive: m.Recursive,
			CreateHostPath: m.CreateHostPath, MatchUser: m.IDMap == plan.MatchUser, NoCopy: m.NoCopy, Subpath: m.Subpath, Size: m.Size, Mode: m.Mode, Options: m.Options,
		}
		if u.Kind == volume.Volume && u.Source == "" {
			u.Source = anonymous[m.Target]
		}
		uses = append(uses, u)
	}
	for _, m := range s.Tmpfs {
		named[m.Target] = true
		uses = append(uses, volume.Use{Kind: volume.Tmpfs, Target: m.Target, ReadOnly: m.ReadOnly, Size: m.Size, Mode: m.Mode, Options: m.Options})
	}
	for _, target := range slices.Sorted(maps.Keys(anonymous)) {
		if !named[target] {
			uses = append(uses, volume.Use{Kind: volume.Volume, Source: anonymous[target], Target: target})
		}
	}
	for _, g := range []struct {
		kind  string
		files []plan.File
	}{{"configs", s.Configs}, {"secrets", s.Secrets}} {
		for _, f := range g.files {
			u, err := fileUse(g.kind, f, contents)
			if err != nil {
				return nil, err
			}
			uses = append(uses, u)
		}
	}
	return uses, nil
}

func fileUse(kind string, f plan.File, contents Contents) (volume.Use, error) {
	u := volume.Use{Kind: volume.File, Target: f.Target, ReadOnly: true, Mode: 0o444}
	var err error
	if f.Mode != nil {
		u.Mode = *f.Mode &^ 0o222 // it is mounted read-only; the reference drops the write bits
	}
	if u.UID, err = number(f.UID); err != nil {
		return u, fmt.Errorf("cannot use %s %s: uid %q: %w", kind, f.Source, f.UID, err)
	}
	if u.GID, err = number(f.GID); err != nil {
		return u, fmt.Errorf("cannot use %s %s: gid %q: %w", kind, f.Source, f.GID, err)
	}
	u.Content, err = contents(kind, f)
	return u, err
}

func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("expected a number")
	}
	return n, nil
}

// Volume is how the volume w of project is made.
func Volume(project string, w plan.Volume) volume.Config {
	return volume.Config{ID: w.Name, Driver: w.Spec.Driver, DriverOpts: w.Spec.DriverOpts, Labels: ownLabels(w.Spec.Labels, project, label.Volume, w.Key, plan.Encode(w.Spec))}
}
