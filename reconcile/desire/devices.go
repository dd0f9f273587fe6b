package desire

import (
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// isCDI says whether an entry of devices is the full name of a device, vendor.com/class=name, and no path.
func isCDI(d spec.Device) bool {
	return !strings.HasPrefix(d.Source, "/") && strings.Contains(d.Source, "=")
}

// deviceRequests are all that s asks for by other things than a path.
func deviceRequests(s *spec.Service) []plan.DeviceRequest {
	var out []plan.DeviceRequest
	add := func(r spec.DeviceRequest, more ...string) {
		out = append(out, plan.DeviceRequest{Driver: r.Driver, Count: r.Count, IDs: slices.Clone(r.IDs), Capabilities: append(slices.Clone(r.Capabilities), more...)})
	}
	for _, r := range s.GPUs {
		if slices.Contains(r.Capabilities, "gpu") {
			add(r)
		} else {
			add(r, "gpu")
		}
	}
	if s.Deploy != nil && s.Deploy.Reservations != nil {
		for _, r := range s.Deploy.Reservations.Devices {
			add(r)
		}
	}
	for _, d := range s.Devices {
		if isCDI(d) {
			out = append(out, plan.DeviceRequest{Driver: "cdi", IDs: []string{d.Source}})
		}
	}
	return out
}
