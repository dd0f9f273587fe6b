package runtime

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/seccomp"
)

// filterCache keeps compiled seccomp programs by profile: nearly all containers share one or two.
type filterCache struct {
	mu sync.Mutex
	m  map[[sha256.Size]byte][]byte
}

// filterCacheLimit bounds the cache; beyond it starts over. A program is some 10 KiB.
const filterCacheLimit = 64

// compile gives the program of p, nil for none.
func (fc *filterCache) compile(p *specs.LinuxSeccomp) ([]byte, error) {
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
	prog, err := seccomp.Compile(p)
	if err != nil {
		return nil, err
	}
	if fc.m == nil || len(fc.m) >= filterCacheLimit {
		fc.m = map[[sha256.Size]byte][]byte{}
	}
	fc.m[key] = prog
	return prog, nil
}
