package layer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/atomicfile"
)

// Form is one compressed form of a layer, and who has had it. That it is one of this layer was seen here, when it was unpacked or made: what a manifest says of a
// layer that is here already is nothing to go by, for whoever wrote it could have others push a blob of theirs in its place. Who has it is a hint: whoever uses it asks the registry.
type Form struct {
	Digest v1.Hash         `json:"digest"`
	Size   int64           `json:"size"`
	Media  types.MediaType `json:"mediaType"`
	Repos  []string        `json:"repos,omitempty"` // host/repository, the last used last
}

// Both are far above what one layer comes to; a store that is pushed to a new repository every hour stays small.
const (
	maxForms = 8
	maxRepos = 16
)

// formsName is, beside a layer's fs, a list of forms. It goes with the layer.
const formsName = "forms.json"

// Forms are those of the layer diff that are known, the last used last.
func (l *Store) Forms(diff v1.Hash) []Form {
	var list []Form
	if b, err := os.ReadFile(filepath.Join(l.Dir(diff), formsName)); err != nil || json.Unmarshal(b, &list) != nil {
		return nil
	}
	return list
}

// writeForms writes the list of the layer in dir. What cannot be remembered is asked for another time.
func writeForms(dir string, list []Form) {
	if b, err := json.Marshal(list); err == nil {
		atomicfile.Write(filepath.Join(dir, formsName), b, 0o600, atomicfile.NoSync) //nolint:errcheck // see above
	}
}

// NoteForm remembers that desc, which was made of the layer diff here, is a form of it.
func (l *Store) NoteForm(diff v1.Hash, desc v1.Descriptor) {
	list := l.Forms(diff)
	if slices.ContainsFunc(list, func(f Form) bool { return f.Digest == desc.Digest }) {
		return
	}
	list = append(list, Form{Digest: desc.Digest, Size: desc.Size, Media: desc.MediaType})
	writeForms(l.Dir(diff), list[max(0, len(list)-maxForms):])
}

// NoteRepo remembers that the repository repo has, or says that it has, the layer diff in the form digest, if that is known to be one.
func (l *Store) NoteRepo(diff, digest v1.Hash, repo string) {
	list := l.Forms(diff)
	i := slices.IndexFunc(list, func(f Form) bool { return f.Digest == digest })
	if i < 0 || len(list[i].Repos) > 0 && list[i].Repos[len(list[i].Repos)-1] == repo {
		return
	}
	repos := append(slices.DeleteFunc(list[i].Repos, func(r string) bool { return r == repo }), repo)
	list[i].Repos = repos[max(0, len(repos)-maxRepos):]
	writeForms(l.Dir(diff), list)
}

// Descriptor is f as manifests have it.
func (f Form) Descriptor() v1.Descriptor {
	return v1.Descriptor{Digest: f.Digest, Size: f.Size, MediaType: f.Media}
}
