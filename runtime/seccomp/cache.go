package seccomp

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Cache keeps compiled seccomp programs by profile: nearly all containers share one or two. The zero value is ready, and it is safe for concurrent use.
type Cache struct {
	mu sync.Mutex
	m  map[[sha256.Size]byte][]byte
}

// cacheLimit bounds the cache; beyond it starts over. A program is some 10 KiB.
const cacheLimit = 64

// Compile is the program of p, nil for none. It is shared: read only. Errors as of the function Compile.
func (fc *Cache) Compile(p *specs.LinuxSeccomp) ([]byte, error) {
	if p == nil {
		return nil, nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(b)
	fc.mu.Lock()
	defer fc.mu.Unlock()
	if prog, ok := fc.m[key]; ok {
		return prog, nil
	}
	prog, err := Compile(p)
	if err != nil {
		return nil, err
	}
	if fc.m == nil || len(fc.m) >= cacheLimit {
		fc.m = map[[sha256.Size]byte][]byte{}
	}
	fc.m[key] = prog
	return prog, nil
}
