package desire

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// UnknownOptions warns of driver options of a service's place on its networks that mean nothing. Docker passes them over.
func UnknownOptions(s *spec.Service, at string) diag.List {
	var diags diag.List
	for _, net := range slices.Sorted(maps.Keys(s.Networks)) {
		ep := s.Networks[net]
		if ep == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(ep.DriverOpts)) {
			if key != OptionInterface && key != OptionSysctls {
				diags = append(diags, &diag.Diagnostic{Severity: diag.Warning, Code: "unknown-option", Summary: "a driver option is not known, and has no effect",
					Detail: fmt.Sprintf("service %s has %s for its place on network %s", s.Name, key, net), Hint: "remove it", Address: at + ".networks." + net + ".driver_opts." + key})
			}
		}
	}
	return diags
}
