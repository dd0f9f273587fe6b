package fake

import (
	"maps"
	"slices"
	"sync"
)

// Store is driver.Store in memory.
type Store struct {
	// Dead says that the daemon is no more: what it still tries to write is not written.
	Dead func() bool
	Cut  *Cut // the host's

	mu sync.Mutex
	m  map[string]map[string][]byte
}

func (s *Store) dead() bool { return s.Cut.Died() || s.Dead != nil && s.Dead() }

func (s *Store) Put(bucket, key string, v []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead() {
		return nil
	}
	if s.m == nil {
		s.m = map[string]map[string][]byte{}
	}
	if s.m[bucket] == nil {
		s.m[bucket] = map[string][]byte{}
	}
	s.m[bucket][key] = slices.Clone(v)
	return nil
}

func (s *Store) Get(bucket, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[bucket][key]
	if !ok {
		return nil, notFound("%s %q is not in the store", bucket, key)
	}
	return slices.Clone(v), nil
}

func (s *Store) Delete(bucket, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead() {
		return nil
	}
	delete(s.m[bucket], key)
	return nil
}

func (s *Store) Each(bucket string, fn func(string, []byte) error) error {
	s.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.m[bucket]))
	values := maps.Clone(s.m[bucket])
	s.mu.Unlock()
	for _, k := range keys {
		if err := fn(k, values[k]); err != nil {
			return err
		}
	}
	return nil
}
