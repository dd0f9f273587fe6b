package bundle

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/plan"
)

// Committed gives conf, the configuration of the image that a container of s was made from, what the container has been given over it and an image can
// say: what docker's commit takes of a container. What belongs to one host, mounts and networks among others, is no image's.
func Committed(conf *v1.Config, s *plan.Spec) {
	if len(s.Command) > 0 || len(s.Entrypoint) > 0 {
		conf.Cmd = slices.Clone(s.Command)
	}
	if s.Entrypoint != nil {
		conf.Entrypoint = slices.Clone(s.Entrypoint)
	}
	conf.Env = slices.DeleteFunc(slices.Clone(conf.Env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(s.Unset, name)
	})
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		conf.Env = set(conf.Env, name+"="+s.Environment[name])
	}
	if s.WorkingDir != "" {
		conf.WorkingDir = s.WorkingDir
	}
	if s.User != "" {
		conf.User = s.User
	}
	if s.StopSignal != "" {
		conf.StopSignal = s.StopSignal
	}
	if len(s.Labels) > 0 {
		conf.Labels = maps.Clone(conf.Labels)
		if conf.Labels == nil {
			conf.Labels = map[string]string{}
		}
		maps.Copy(conf.Labels, s.Labels)
	}
	if h := s.HealthCheck; h != nil {
		var of v1.HealthConfig // the image's, where the container is silent, as healthCheck
		if conf.Healthcheck != nil {
			of = *conf.Healthcheck
		}
		conf.Healthcheck = &v1.HealthConfig{
			Test: slices.Clone(h.Test), Interval: cmp.Or(h.Interval, of.Interval), Timeout: cmp.Or(h.Timeout, of.Timeout), StartPeriod: cmp.Or(h.StartPeriod, of.StartPeriod), Retries: cmp.Or(h.Retries, of.Retries),
		}
		if len(h.Test) == 0 {
			conf.Healthcheck.Test = of.Test
		}
		if h.Disable {
			conf.Healthcheck = &v1.HealthConfig{Test: []string{"NONE"}}
		}
	}
}
