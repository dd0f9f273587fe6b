package spec

import "maps"

// FieldTables are the decoder's tables, by the place of the object in the language.
func FieldTables() map[string][]string {
	return map[string][]string{
		"":                                                   keys(topFields),
		"include[]":                                          {"path", "project_directory", "env_file"}, // include.go
		"services.*":                                         keys(serviceFields),
		"services.*.extends":                                 {"service", "file"}, // extends.go
		"services.*.env_file[]":                              keys(envFileFields),
		"services.*.ulimits.*":                               keys(ulimitFields),
		"services.*.volumes[]":                               keys(mountFields),
		"services.*.volumes[].bind":                          keys(bindFields),
		"services.*.volumes[].volume":                        keys(volumeUseFields),
		"services.*.volumes[].tmpfs":                         keys(tmpfsFields),
		"services.*.configs[]":                               keys(fileUseFields),
		"services.*.secrets[]":                               keys(fileUseFields),
		"services.*.devices[]":                               keys(deviceFields),
		"services.*.networks.*":                              keys(endpointFields),
		"services.*.ports[]":                                 keys(portFields),
		"services.*.depends_on.*":                            keys(dependencyFields),
		"services.*.healthcheck":                             keys(healthFields),
		"services.*.logging":                                 keys(loggingFields),
		"services.*.deploy":                                  keys(deployFields),
		"services.*.deploy.restart_policy":                   keys(restartFields),
		"services.*.deploy.resources":                        keys(resourcesFields),
		"services.*.deploy.resources.limits":                 keys(limitFields),
		"services.*.deploy.resources.reservations":           keys(reservationFields),
		"services.*.volumes[].image":                         keys(imageUseFields),
		"services.*.build":                                   keys(buildFields),
		"services.*.build.secrets[]":                         keys(fileUseFields),
		"services.*.build.ulimits.*":                         keys(ulimitFields),
		"services.*.blkio_config":                            keys(blkioFields),
		"services.*.blkio_config.weight_device[]":            keys(weightFields),
		"services.*.blkio_config.device_read_bps[]":          keys(rateFields),
		"services.*.blkio_config.device_read_iops[]":         keys(rateFields),
		"services.*.blkio_config.device_write_bps[]":         keys(rateFields),
		"services.*.blkio_config.device_write_iops[]":        keys(rateFields),
		"services.*.gpus[]":                                  keys(requestFields),
		"services.*.deploy.resources.reservations.devices[]": keys(requestFields),
		"services.*.deploy.resources.reservations.generic_resources[]":                        keys(genericFields),
		"services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec": keys(discreteFields),
		"services.*.deploy.update_config":                                                     keys(rolloutFields),
		"services.*.deploy.rollback_config":                                                   keys(rolloutFields),
		"services.*.deploy.placement":                                                         keys(placementFields),
		"services.*.deploy.placement.preferences[]":                                           keys(preferenceFields),
		"services.*.credential_spec":                                                          keys(credentialFields),
		"services.*.pre_start[]":                                                              keys(preStartFields),
		"services.*.post_start[]":                                                             keys(execFields),
		"services.*.pre_stop[]":                                                               keys(execFields),
		"services.*.provider":                                                                 keys(providerFields),
		"services.*.models.*":                                                                 keys(modelUseFields),
		"services.*.develop":                                                                  keys(developFields),
		"services.*.develop.watch[]":                                                          keys(watchFields),
		"services.*.develop.watch[].exec":                                                     keys(execFields),
		"models.*":                                                                            keys(modelFields),
		"networks.*":                                                                          keys(networkFields),
		"networks.*.ipam":                                                                     keys(ipamFields),
		"networks.*.ipam.config[]":                                                            keys(poolFields),
		"networks.*.external":                                                                 keys(externalFields),
		"volumes.*":                                                                           keys(volumeFields),
		"volumes.*.external":                                                                  keys(externalFields),
		"configs.*":                                                                           keys(configFields),
		"configs.*.external":                                                                  keys(externalFields),
		"secrets.*":                                                                           keys(secretFields),
		"secrets.*.external":                                                                  keys(externalFields),
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
