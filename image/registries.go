package image

import (
	"context"
	"os"

	"github.com/stackrun/stack/internal/reference"
)

// Registries are asked what an image is at, by who pulls nothing: it needs no store, and no root. Mirrors, credentials and retries
// are those of a pull. Its methods may be called from many goroutines.
type Registries struct{ store *Store }

// OpenRegistries prepares to ask the registries of opt, of which only Mirrors and Insecure are looked at. It does no I/O.
func OpenRegistries(opt Options) (*Registries, error) {
	s := &Store{}
	if err := s.prepare(opt); err != nil {
		return nil, err
	}
	return &Registries{s}, nil
}

// Pin is ref with the digest of what its tag names now: of an image for several platforms the digest that is that of all. One
// that says a digest is given back as it is. note is told what is odd and no error, such as a mirror that does not answer.
func (r *Registries) Pin(ctx context.Context, ref string, note func(string)) (reference.Reference, error) {
	parsed, err := reference.Parse(ref)
	if err != nil || parsed.HasDigest() {
		return parsed, err
	}
	doc, err := r.store.source(parsed, nil, note).manifest(ctx, parsed.Identifier())
	if err != nil {
		return reference.Reference{}, err
	}
	parsed.Digest = doc.digest
	return parsed, nil
}

// prepare is what asking registries needs.
func (s *Store) prepare(opt Options) error {
	s.insecure = make(map[string]bool)
	s.credentials = credentials{getenv: os.Getenv, helper: runHelper}
	s.wait = wait
	for _, host := range opt.Insecure {
		s.insecure[host] = true
	}
	if err := s.parseMirrors(opt.Mirrors); err != nil {
		return err
	}
	s.transports.origin = newTransport(dialTimeout, false)
	s.transports.mirror = newTransport(mirrorTimeout, false)
	s.transports.lax = newTransport(dialTimeout, true)
	return nil
}
