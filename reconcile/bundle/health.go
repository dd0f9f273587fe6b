package bundle

import (
	"cmp"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
)

// healthCheck is the check in force: the file's, with the image's where the file is silent, and docker's defaults below. nil
// = none.
func healthCheck(file *plan.HealthCheck, image *v1.HealthConfig) *health.Check {
	var f plan.HealthCheck
	if file != nil {
		f = *file
	}
	var i v1.HealthConfig
	if image != nil {
		i = *image
	}
	test := f.Test
	if len(test) == 0 {
		test = i.Test
	}
	if f.Disable || len(test) < 2 || test[0] == "NONE" {
		return nil
	}
	c := &health.Check{
		Interval:      cmp.Or(f.Interval, i.Interval, 30*time.Second),
		Timeout:       cmp.Or(f.Timeout, i.Timeout, 30*time.Second),
		Retries:       cmp.Or(f.Retries, i.Retries, 3),
		StartPeriod:   cmp.Or(f.StartPeriod, i.StartPeriod),
		StartInterval: f.StartInterval,
	}
	if c.Args = test[1:]; test[0] == "CMD-SHELL" {
		c.Args = []string{"/bin/sh", "-c", test[1]}
	}
	return c
}
