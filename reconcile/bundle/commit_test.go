package bundle_test

import (
	"reflect"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/plan"
)

// TestCommittedRunsAlike: an image that was made of a container runs what the container ran, and is checked as it was.
func TestCommittedRunsAlike(t *testing.T) {
	image := v1.Config{
		Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}, Env: []string{"A=1", "B=2"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "probe"}, Interval: time.Minute, Retries: 7},
	}
	for name, c := range map[string]struct {
		spec        plan.Spec
		healthcheck *v1.HealthConfig
	}{
		"as the image says":     {plan.Spec{}, image.Healthcheck},
		"another command":       {plan.Spec{Command: []string{"work"}}, image.Healthcheck},
		"another entrypoint":    {plan.Spec{Entrypoint: []string{"/bin/other"}}, image.Healthcheck},
		"both":                  {plan.Spec{Entrypoint: []string{"/bin/other"}, Command: []string{"work"}}, image.Healthcheck},
		"no entrypoint":         {plan.Spec{Entrypoint: []string{}}, image.Healthcheck},
		"checked more often":    {plan.Spec{HealthCheck: &plan.HealthCheck{Interval: time.Second}}, &v1.HealthConfig{Test: []string{"CMD", "probe"}, Interval: time.Second, Retries: 7}},
		"checked by other ways": {plan.Spec{HealthCheck: &plan.HealthCheck{Test: []string{"CMD", "x"}}}, &v1.HealthConfig{Test: []string{"CMD", "x"}, Interval: time.Minute, Retries: 7}},
		"not checked":           {plan.Spec{HealthCheck: &plan.HealthCheck{Disable: true}}, &v1.HealthConfig{Test: []string{"NONE"}}},
	} {
		made := *image.DeepCopy()
		bundle.Committed(&made, &c.spec)
		was, err := bundle.Args(&c.spec, &image)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := bundle.Args(&plan.Spec{}, &made); err != nil || !reflect.DeepEqual(is, was) {
			t.Errorf("%s: it ran %q, its image runs %q, %v", name, was, is, err)
		}
		if !reflect.DeepEqual(made.Healthcheck, c.healthcheck) {
			t.Errorf("%s: the check is %+v", name, made.Healthcheck)
		}
	}
}
