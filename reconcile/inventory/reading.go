package inventory

import (
	"encoding/json"
	goruntime "runtime"
	"strconv"
	"sync"
	"weak"

	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/runtime"
)

// readings are what the labels and facts of configurations say, by weak.Pointer[runtime.Config]: a *container without a State, nil for one that is not
// ours. Drivers give out one configuration again and again, and it is never changed; to decode it takes longer than to look at the container.
var readings sync.Map

// Read reads labels and facts. false: it is not one of ours. What the result points to is shared: read only.
func Read(s runtime.State) (*Container, bool) {
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

func reading(cfg *runtime.Config) *Container {
	key := weak.Make(cfg)
	if have, ok := readings.Load(key); ok {
		return have.(*Container)
	}
	c := decode(cfg)
	if _, there := readings.LoadOrStore(key, c); !there {
		goruntime.AddCleanup(cfg, func(key weak.Pointer[runtime.Config]) { readings.Delete(key) }, key)
	}
	return c
}

// decode reads the labels and facts of cfg; nil when it is not one of ours.
func decode(cfg *runtime.Config) *Container {
	l, f := cfg.Labels, cfg.Facts
	c := &Container{Project: l[label.Project], Service: l[label.Service], Name: f[bundle.FactName], Encoded: f[bundle.FactWant]}
	c.Image = l[label.Image]
	if raw := f[bundle.FactTraits]; raw != "" {
		c.Alone = new(standalone.Traits)
		if json.Unmarshal([]byte(raw), c.Alone) != nil || c.Name == "" {
			return nil
		}
		c.Project, c.Service, c.Image, c.Remove = "", "", f[bundle.FactImage], c.Alone.AutoRemove
	} else if c.Project == "" || c.Service == "" || c.Name == "" {
		return nil
	}
	c.Number, _ = strconv.Atoi(l[label.Number])
	c.OneOff = l[label.OneOff] == "True"
	c.Remove = c.Remove || f[bundle.FactRemove] != ""
	c.Aliases = f[bundle.FactAliases] != ""
	c.Succeeds = f[bundle.FactSucceeds]
	c.Step = readStepOf(f[bundle.FactStepOf])
	var want struct {
		Spec plan.Spec `json:"spec"`
	}
	if json.Unmarshal([]byte(c.Encoded), &want) == nil {
		c.Spec = want.Spec
	}
	if raw := f[bundle.FactHealth]; raw != "" {
		c.Health = new(health.Check)
		if json.Unmarshal([]byte(raw), c.Health) != nil {
			c.Health = nil
		}
	}
	c.Exposed = f[bundle.FactExposed]
	if raw := f[bundle.FactAnonymous]; raw != "" {
		_ = json.Unmarshal([]byte(raw), &c.Anonymous) // ours; a damaged one is none
	}
	if raw := f[bundle.FactMounted]; raw != "" {
		_ = json.Unmarshal([]byte(raw), &c.mounted) // likewise
	}
	return c
}
