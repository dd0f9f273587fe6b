package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/diag"
)

// isolatedEnv is the variable that --isolated is the flag of.
const isolatedEnv = "STACK_ISOLATED"

// Isolated is what a project that is isolated has in its names: 8 hexadecimal digits of a hash of its directory's path. Two checkouts of a
// repository have the same file and the same name: and another path.
func Isolated(dir string) string {
	sum := sha256.Sum256([]byte(path.Clean(dir)))
	return hex.EncodeToString(sum[:4])
}

// isolatedName is name with hash at its end, once: what config prints is a file, too. hash "" = name as it is.
func isolatedName(name, hash string) string {
	if hash == "" || strings.HasSuffix(name, "-"+hash) {
		return name
	}
	return name + "-" + hash
}

// isolate decides whether the project is isolated, and names it if a variable does. -p is the whole name, of any directory's project.
func (l *locator) isolate(loc *Location) {
	yes := l.wantsIsolation()
	if !yes {
		return
	}
	dir := loc.NameDir
	if l.RealPath != nil {
		real, err := l.RealPath(dir)
		if err != nil {
			l.at(diag.Error, CodeRead, diag.Pos{File: dir}, "the project cannot be isolated: "+err.Error(), "")
			return
		}
		dir = real
	}
	hash := Isolated(dir)
	switch {
	case l.Name == "":
		loc.Isolated = hash
		if loc.Name != "" {
			loc.Name = isolatedName(loc.Name, hash)
		}
	case isolatedName(l.Name, hash) == l.Name:
		loc.Isolated = hash
	case l.Isolated != nil:
		l.at(diag.Error, CodeConflict, diag.Pos{File: "--isolated"}, "-p is the whole name of a project, "+strconv.Quote(l.Name), "leave -p out: COMPOSE_PROJECT_NAME, name: and the directory are names that it is added to")
	}
}

func (l *locator) wantsIsolation() bool {
	if l.Isolated != nil {
		return *l.Isolated
	}
	text := l.env[isolatedEnv]
	if text == "" {
		return false
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		at := l.from[isolatedEnv]
		if at.File == "" {
			at.File = isolatedEnv
		}
		l.at(diag.Error, CodeValue, at, isolatedEnv+"="+text+": expected 1 or 0", "")
	}
	return yes
}

// isolate gives what has one name on the host whichever project it is of a name of this directory's: containers with a container_name, which the others of
// the project know by both names, and images that are built here and have a name, which others of the project are made from. Networks and volumes are
// named where they are decoded (realName).
func (d *decoder) isolate() {
	hash := d.in.Isolated
	if hash == "" {
		return
	}
	containers, images := map[string]string{}, map[string]string{}
	for _, s := range d.drafts {
		if name := s.ContainerName; name != "" {
			containers[name] = isolatedName(name, hash)
		}
		if s.Build != nil && s.Image != "" {
			images[tagged(s.Image)] = isolatedImage(s.Image, hash)
		}
	}
	image := func(ref *string) {
		if to := images[tagged(*ref)]; to != "" {
			*ref = to
		}
	}
	for _, s := range d.drafts {
		if to := containers[s.ContainerName]; to != "" && to != s.ContainerName {
			for key, ep := range s.Networks {
				if ep == nil {
					ep = &Endpoint{}
					s.Networks[key] = ep
				}
				ep.Aliases = append(ep.Aliases, s.ContainerName)
			}
			s.ContainerName = to
		}
		for i, from := range s.VolumesFrom {
			if rest, ok := strings.CutPrefix(from, "container:"); ok {
				s.VolumesFrom[i] = "container:" + renamed(containers, rest)
			}
		}
		for _, mode := range []*string{&s.NetworkMode, &s.PID, &s.IPC} {
			if rest, ok := strings.CutPrefix(*mode, "container:"); ok {
				*mode = "container:" + renamed(containers, rest)
			}
		}
		for i, link := range s.ExternalLinks {
			// Who gives no alias knows the other by its name, which stays one.
			if name, _, aliased := strings.Cut(link, ":"); !aliased && containers[name] != "" {
				link += ":" + name
			}
			s.ExternalLinks[i] = renamed(containers, link)
		}
		image(&s.Image)
		for i := range s.PreStart {
			image(&s.PreStart[i].Image)
		}
		for i := range s.Mounts {
			if s.Mounts[i].Type == "image" {
				image(&s.Mounts[i].Source)
			}
		}
	}
}

// renamed is text, NAME or NAME:MORE, with the name that it has in names.
func renamed(names map[string]string, text string) string {
	name, more, has := strings.Cut(text, ":")
	if to := names[name]; to != "" {
		name = to
	}
	if has {
		name += ":" + more
	}
	return name
}

// isolatedImage is ref with hash at the end of its tag. A reference by digest says which image it is, and stays.
func isolatedImage(ref, hash string) string {
	if strings.Contains(ref, "@") {
		return ref
	}
	return isolatedName(tagged(ref), hash)
}

// tagged is ref with the tag that it has when it names none.
func tagged(ref string) string {
	if ref == "" || strings.Contains(ref, "@") || strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":") {
		return ref
	}
	return ref + ":latest"
}
