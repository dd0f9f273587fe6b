package record

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// cache saves reading and decoding the record that each container has of one kind. All are replaced by renaming: a record is the same while it is
// the same file.
type cache[T any] struct {
	mu sync.Mutex
	m  map[string]cachedRecord[T]
}

type cachedRecord[T any] struct {
	ino   uint64
	size  int64
	mtime unix.Timespec
	value *T
}

// get is the record of id in the file of which st is the stat; nil when it is not known.
func (rc *cache[T]) get(id string, st *unix.Stat_t) *T {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if have, ok := rc.m[id]; ok && have.ino == st.Ino && have.size == st.Size && have.mtime == st.Mtim {
		return have.value
	}
	return nil
}

func (rc *cache[T]) put(id string, st *unix.Stat_t, value *T) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.m == nil {
		rc.m = map[string]cachedRecord[T]{}
	}
	rc.m[id] = cachedRecord[T]{st.Ino, st.Size, st.Mtim, value}
}

func (rc *cache[T]) forget(id string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	delete(rc.m, id)
}

// read is the record of id at path. The result is shared: read only. The error is a *fs.PathError when the file cannot be read.
func (rc *cache[T]) read(id, path string) (*T, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		rc.forget(id)
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if have := rc.get(id, &st); have != nil {
		return have, nil
	}
	// A file that is put there from here on has another stat: what is read is never taken for an older one.
	value := new(T)
	if err := readJSON(path, value); err != nil {
		return nil, err
	}
	rc.put(id, &st, value)
	return value, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return nil
}
