package wish

import (
	"bytes"
	"maps"
	"sync"

	"github.com/stackrun/stack/spec"
)

// Cache spares those who read a record again and again its decoding: the file of a hundred services takes three milliseconds.
// What it says rests on the record's text alone, which the caller has read. Safe for concurrent use; the zero value is empty.
type Cache struct {
	mu sync.Mutex
	m  map[string]cached // by project
}

type cached struct {
	raw    []byte
	record *Record
	file   *spec.Project // nil until somebody asks
}

// Decode is Decode of raw, the record of project. The result is the caller's own.
func (c *Cache) Decode(project string, raw []byte) (*Record, error) {
	have, err := c.get(project, raw)
	if err != nil {
		return nil, err
	}
	return have.record.clone(), nil
}

// File is the file in raw, the record of project. The result is shared: read only.
func (c *Cache) File(project string, raw []byte) (*spec.Project, error) {
	have, err := c.get(project, raw)
	if err != nil || have.file != nil {
		return have.file, err
	}
	if have.file, err = have.record.File(); err != nil {
		return nil, err
	}
	c.put(project, have)
	return have.file, nil
}

// Forget drops project.
func (c *Cache) Forget(project string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, project)
}

func (c *Cache) get(project string, raw []byte) (cached, error) {
	c.mu.Lock()
	have, ok := c.m[project]
	c.mu.Unlock()
	if ok && bytes.Equal(have.raw, raw) {
		return have, nil
	}
	r, err := Decode(raw)
	if err != nil {
		return cached{}, err
	}
	have = cached{raw: raw, record: r}
	c.put(project, have)
	return have, nil
}

func (c *Cache) put(project string, what cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]cached{}
	}
	c.m[project] = what
}

// clone is r for somebody who changes it. The file, the pass and the ports are shared: they are replaced, never changed.
func (r *Record) clone() *Record {
	mine := *r
	mine.Scale, mine.services, mine.off, mine.owed = maps.Clone(r.Scale), maps.Clone(r.services), maps.Clone(r.off), maps.Clone(r.owed)
	return &mine
}
