package reconcile

import (
	goruntime "runtime"
	"sync"
	"weak"

	"github.com/stackrun/stack/runtime"
)

// readings are what the labels and facts of configurations say, by weak.Pointer[runtime.Config]: a *container without a State, nil for one that is not
// ours. Drivers give out one configuration again and again, and it is never changed; to decode it takes longer than to look at the container.
var readings sync.Map

// readContainer reads labels and facts. false: it is not one of ours. What the result points to is shared: read only.
func readContainer(s runtime.State) (*container, bool) {
	if s.Config == nil {
		return nil, false
	}
	read := reading(s.Config)
	if read == nil {
		return nil, false
	}
	c := *read
	c.State = s
	return &c, true
}

func reading(cfg *runtime.Config) *container {
	key := weak.Make(cfg)
	if have, ok := readings.Load(key); ok {
		return have.(*container)
	}
	c := decodeContainer(cfg)
	if _, there := readings.LoadOrStore(key, c); !there {
		goruntime.AddCleanup(cfg, func(key weak.Pointer[runtime.Config]) { readings.Delete(key) }, key)
	}
	return c
}
