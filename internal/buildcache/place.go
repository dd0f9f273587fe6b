package buildcache

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/reference"
)

// The types of places.
const (
	Registry = "registry"
	Local    = "local"  // a directory with an OCI layout
	Inline   = "inline" // in the configuration of the image itself, and the layers are the image's
)

// elsewhere are docker's further types, which need a service that is asked by a protocol of its own.
var elsewhere = []string{"azblob", "gha", "s3"}

// Place is where a cache is.
type Place struct {
	Type string // Registry, Local or Inline
	Ref  string // of Registry: a reference as it was written
	Dir  string // of Local, as it was written
	Tag  string // of Local: its name in Dir; of one that is read, the digest of its manifest perhaps

	// All is mode=max: the layers of all steps, and not those of the image alone. IgnoreError makes a cache that cannot be written no error. Both are for writing.
	All, IgnoreError bool
}

// String is what messages call p.
func (p Place) String() string {
	switch p.Type {
	case Registry:
		return p.Ref
	case Local:
		return p.Dir
	}
	return p.Type
}

// Below is p with a directory that is absolute: it was written relative to dir.
func (p Place) Below(dir string) Place {
	if p.Type == Local && !filepath.IsAbs(p.Dir) {
		p.Dir = filepath.Join(dir, p.Dir)
	}
	return p
}

// defaultTag is what docker calls the cache in a directory.
const defaultTag = "latest"

// From reads where steps are taken from. void, when it is not empty, says why nothing is taken from there, or what of it has no effect when the Place has a Type. An error: it cannot be meant.
func From(text string) (p Place, void string, err error) {
	return read(text, from)
}

// To reads where steps are put. void, when it is not empty, says why nothing is put there, or what of it has no effect when the Place has a Type.
func To(text string) (p Place, void string, err error) {
	return read(text, to)
}

// FromAttributes is From of what a client has taken to pieces.
func FromAttributes(kind string, attrs map[string]string) (Place, string, error) {
	return place(kind, attrs, from)
}

// ToAttributes is To of what a client has taken to pieces.
func ToAttributes(kind string, attrs map[string]string) (Place, string, error) {
	return place(kind, attrs, to)
}

// side is one of the two lists.
type side struct {
	name string
	dir  string // what the directory is called
	// option takes in name=value, and says what of it has no effect.
	option func(p Place, name, value string) (_ Place, void string, known bool, err error)
}

var (
	from = side{"cache_from", "src", Place.fromOption}
	to   = side{"cache_to", "dest", Place.toOption}
)

func read(text string, of side) (Place, string, error) {
	wrong := func(err error) (Place, string, error) {
		return Place{}, "", fmt.Errorf("%q: %w", text, err)
	}
	words, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return wrong(fmt.Errorf("expected NAME=VALUE,…, or the name of an image: %w", err))
	}
	if len(words) == 1 && !strings.Contains(text, "=") {
		words = []string{"type=" + Registry, "ref=" + text}
	}
	attrs := map[string]string{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); !ok {
			return wrong(fmt.Errorf("expected NAME=VALUE in place of %q", word))
		}
		attrs[name] = value
	}
	kind := attrs["type"]
	delete(attrs, "type")
	if kind == "" {
		return wrong(fmt.Errorf("it has no type, expected type=%s, type=%s or type=%s", Local, Registry, Inline))
	}
	p, void, err := place(kind, attrs, of)
	if err != nil {
		return wrong(err)
	}
	return p, void, nil
}

func place(kind string, attrs map[string]string, of side) (Place, string, error) {
	switch {
	case slices.Contains(elsewhere, kind):
		return Place{}, fmt.Sprintf("type=%s is not supported, and has no effect: use type=%s or type=%s", kind, Local, Registry), nil
	case kind != Registry && kind != Local && kind != Inline:
		return Place{}, "", fmt.Errorf("type=%s is not known, expected %s, %s or %s", kind, Local, Registry, Inline)
	}
	p := Place{Type: kind}
	var voids []string
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		next, void, known, err := of.option(p, name, attrs[name])
		switch {
		case err != nil:
			return Place{}, "", fmt.Errorf("%s=%s: %w", name, attrs[name], err)
		case !known:
			return Place{}, "", fmt.Errorf("type=%s has no option %s", kind, name)
		case void != "":
			voids = append(voids, void)
		}
		p = next
	}
	if err := p.complete(of); err != nil {
		return Place{}, "", err
	}
	return p, strings.Join(voids, "; "), nil
}

// complete says what p lacks of what its type needs.
func (p *Place) complete(of side) error {
	switch p.Type {
	case Registry:
		if p.Ref == "" {
			return fmt.Errorf("type=%s has no ref", p.Type)
		}
		switch ref, err := reference.Parse(p.Ref); {
		case err != nil:
			return err
		case ref.HasDigest() && of.name == to.name:
			return fmt.Errorf("ref=%s: a digest is not given, it is found out", p.Ref)
		}
	case Local:
		if p.Dir == "" {
			return fmt.Errorf("type=%s has no %s", p.Type, of.dir)
		}
		p.Tag = cmp.Or(p.Tag, defaultTag)
	}
	return nil
}

func (p Place) fromOption(name, value string) (Place, string, bool, error) {
	switch {
	case p.Type == Registry && name == "ref":
		p.Ref = value
	case p.Type == Local && name == "src":
		p.Dir = value
	case p.Type == Local && name == "digest":
		h, err := v1.NewHash(value)
		if err != nil {
			return p, "", true, err
		}
		p.Tag = h.String() // also beside a tag, which comes after it
	case p.Type == Local && name == "tag":
		p.Tag = cmp.Or(p.Tag, value)
	default:
		// Files have those of cache_to here too, where docker does not look at them.
		_, _, known, _ := p.toOption(name, value)
		return p, name + "=" + value + " has no effect: it is an option of cache_to", known, nil
	}
	return p, "", true, nil
}

func (p Place) toOption(name, value string) (_ Place, void string, known bool, err error) {
	known = true
	switch {
	case p.Type == Registry && name == "ref":
		p.Ref = value
	case p.Type == Local && name == "dest":
		p.Dir = value
	case p.Type == Local && name == "tag":
		p.Tag = value
	case name == "mode" && value != "min" && value != "max":
		err = fmt.Errorf("expected min or max")
	case name == "mode" && p.Type == Inline:
		if value == "max" {
			void = "mode=max has no effect: an image has the layers of its own steps"
		}
	case name == "mode":
		p.All = value == "max"
	case p.Type == Inline:
		known = false
	case name == "ignore-error":
		p.IgnoreError, err = strconv.ParseBool(value)
	case name == "oci-mediatypes", name == "image-manifest": // of BuildKit's own form of a cache; ours is always both
		var on bool
		if on, err = strconv.ParseBool(value); err == nil && !on {
			void = name + "=" + value + " has no effect: a cache is an OCI image manifest"
		}
	case name == "compression" && value == "gzip":
	case name == "compression", name == "compression-level", name == "force-compression":
		void = name + "=" + value + " has no effect: layers are compressed by gzip"
	default:
		known = false
	}
	return p, void, known, err
}
