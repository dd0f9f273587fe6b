package spec

import "maps"

// FieldTables are the decoder's tables, by the place of the object in the language.
func FieldTables() map[string][]string {
	return map[string][]string{
		"":                                         keys(topFields),
		"include[]":                                {"path", "project_directory", "env_file"}, // include.go
		"services.*":                               keys(serviceFields),
		"services.*.extends":                       {"service", "file"}, // extends.go
		"services.*.env_file[]":                    keys(envFileFields),
		"services.*.ulimits.*":                     keys(ulimitFields),
		"services.*.volumes[]":                     keys(mountFields),
		"services.*.volumes[].bind":                keys(bindFields),
		"services.*.volumes[].volume":              keys(volumeUseFields),
		"services.*.volumes[].tmpfs":               keys(tmpfsFields),
		"services.*.configs[]":                     keys(fileUseFields),
		"services.*.secrets[]":                     keys(fileUseFields),
		"services.*.devices[]":                     keys(deviceFields),
		"services.*.networks.*":                    keys(endpointFields),
		"services.*.ports[]":                       keys(portFields),
		"services.*.depends_on.*":                  keys(dependencyFields),
		"services.*.healthcheck":                   keys(healthFields),
		"services.*.logging":                       keys(loggingFields),
		"services.*.deploy":                        keys(deployFields),
		"services.*.deploy.restart_policy":         keys(restartFields),
		"services.*.deploy.resources":              keys(resourcesFields),
		"services.*.deploy.resources.limits":       keys(limitFields),
		"services.*.deploy.resources.reservations": keys(reservationFields),
		"networks.*":                               keys(networkFields),
		"networks.*.ipam":                          keys(ipamFields),
		"networks.*.ipam.config[]":                 keys(poolFields),
		"networks.*.external":                      keys(externalFields),
		"volumes.*":                                keys(volumeFields),
		"volumes.*.external":                       keys(externalFields),
		"configs.*":                                keys(configFields),
		"configs.*.external":                       keys(externalFields),
		"secrets.*":                                keys(secretFields),
		"secrets.*.external":                       keys(externalFields),
	}
}

func keys[T any](f fields[T]) []string {
	var out []string
	for k := range maps.Keys(f) {
		out = append(out, k)
	}
	return out
}

// MergeRulePaths are the places that the merge table names.
func MergeRulePaths() []string { return sortedKeys(mergeRules) }
