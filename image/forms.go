package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/atomicfile"
)

// form is one compressed form of a layer, and who has had it. Forms are hints: whoever uses one asks the registry.
type form struct {
	Digest v1.Hash         `json:"digest"`
	Size   int64           `json:"size"`
	Media  types.MediaType `json:"mediaType"`
	Repos  []string        `json:"repos"` // host/repository, the last used last
}

// Both are far above what one layer comes to; a store that is pushed to a new repository every hour stays small.
const (
	maxForms = 8
	maxRepos = 16
)

// formsName is, beside a layer's fs, a list of forms. It goes with the layer.
const formsName = "forms.json"

func (s *Store) formsPath(diff v1.Hash) string { return filepath.Join(s.layerDir(diff), formsName) }

func (s *Store) forms(diff v1.Hash) []form {
	var list []form
	if b, err := os.ReadFile(s.formsPath(diff)); err != nil || json.Unmarshal(b, &list) != nil {
		return nil
	}
	return list
}

// noteForm remembers that the repository repo has the layer diff as desc says. What cannot be remembered is asked for another time.
func (s *Store) noteForm(diff v1.Hash, desc v1.Descriptor, repo string) {
	list := s.forms(diff)
	i := slices.IndexFunc(list, func(f form) bool { return f.Digest == desc.Digest })
	if i < 0 {
		list = append(list, form{Digest: desc.Digest, Size: desc.Size, Media: desc.MediaType})
		list = list[max(0, len(list)-maxForms):]
		i = len(list) - 1
	} else if repos := list[i].Repos; len(repos) > 0 && repos[len(repos)-1] == repo {
		return
	}
	repos := append(slices.DeleteFunc(list[i].Repos, func(r string) bool { return r == repo }), repo)
	list[i].Repos = repos[max(0, len(repos)-maxRepos):]
	if b, err := json.Marshal(list); err == nil {
		atomicfile.Write(s.formsPath(diff), b, 0o600, atomicfile.NoSync) //nolint:errcheck // see above
	}
}

func (f form) descriptor() v1.Descriptor {
	return v1.Descriptor{Digest: f.Digest, Size: f.Size, MediaType: f.Media}
}
