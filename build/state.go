package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/runtime/basespec"
)

// state is what a stage has become so far: the configuration of an image, whose RootFS says which layers it has. History entries of steps
// that made no layer have no time yet; they get the image's own.
type state struct {
	conf  *v1.ConfigFile
	scope variables // ENV and ARG, in their order: what words and commands see
	args  []string  // names of the ARGs of the stage, for the history
}

// scratch is the state of FROM scratch.
func scratch(p v1.Platform) *state {
	s := &state{conf: &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"PATH=" + basespec.Path}, WorkingDir: "/"},
	}}
	if p.Architecture != "amd64" { // whose variant is a level of this host's CPU
		s.conf.Variant = p.Variant
	}
	return s
}

// from is the state of a stage on the image or stage conf.
func from(conf *v1.ConfigFile) *state {
	s := &state{conf: conf.DeepCopy()}
	// What made the base is no word on this image.
	s.conf.Container, s.conf.DockerVersion, s.conf.Author = "", "", ""
	s.conf.Config.Image = ""
	if s.conf.RootFS.Type == "" {
		s.conf.RootFS.Type = "layers"
	}
	s.scope.list = slices.Clone(s.conf.Config.Env)
	return s
}

func (s *state) layers() []v1.Hash { return s.conf.RootFS.DiffIDs }

// told adds an entry to the history.
func (s *state) told(by string) {
	s.conf.History = append(s.conf.History, v1.History{CreatedBy: by, Comment: comment, EmptyLayer: true})
}

// made adds a layer, and an entry for it. A step that has changed nothing has none.
func (s *state) made(by string, step stepRecord) {
	h := v1.History{Created: v1.Time{Time: step.Created}, CreatedBy: by, Comment: comment}
	if step.Layer == "" {
		h.EmptyLayer = true
	} else {
		s.conf.RootFS.DiffIDs = append(slices.Clone(s.conf.RootFS.DiffIDs), step.layers()...)
	}
	s.conf.History = append(s.conf.History, h)
}

// comment says in the history who made an entry.
const comment = "stack"

// finish gives what has no time yet the time when.
func (s *state) finish(when time.Time) *v1.ConfigFile {
	c := s.conf.DeepCopy()
	c.Created = v1.Time{Time: when}
	for i := range c.History {
		if h := &c.History[i]; h.Created.IsZero() && h.Comment == comment {
			h.Created = c.Created
		}
	}
	return c
}

// key is a hash over words that cannot run into each other.
type key struct{ h hash.Hash }

func newKey(kind string) key {
	k := key{sha256.New()}
	k.add("stack build step", "1", kind)
	return k
}

func (k key) add(words ...string) {
	for _, w := range words {
		fmt.Fprintf(k.h, "%d:", len(w))
		io.WriteString(k.h, w)
	}
}

func (k key) list(words []string) {
	k.add(fmt.Sprint(len(words)))
	k.add(words...)
}

func (k key) table(m map[string]string) {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		k.add(n, m[n])
	}
}

func (k key) layers(layers []v1.Hash) {
	k.add(fmt.Sprint(len(layers)))
	for _, d := range layers {
		k.add(d.String())
	}
}

func (k key) String() string { return hex.EncodeToString(k.h.Sum(nil)) }

// shellForm puts the shell before a command that is not in the form of a JSON array.
func (s *state) shellForm(words []string) []string {
	sh := s.conf.Config.Shell
	if len(sh) == 0 {
		sh = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(sh), strings.Join(words, " "))
}
