package containers

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// decision says what becomes of a field of a create request that has a value.
type decision uint8

const (
	_        decision = iota
	honoured          // it makes the container what it is, or is checked where it is read
	shown             // nothing is done for it, on purpose, and inspect shows what was said
	refused           // it cannot be done
	ours              // of an answer: the engine's to say, and nobody asks for it by sending it back
)

// decisions are by the type and name of the field. TestEveryFieldIsDecided finds those that a later version of the API has more.
var decisions = map[string]map[string]decision{
	"Config": {
		"Hostname": honoured, "Domainname": honoured, "User": honoured, "AttachStdin": shown, "AttachStdout": shown, "AttachStderr": shown, "ExposedPorts": honoured, "Tty": honoured,
		"OpenStdin": honoured, "StdinOnce": honoured, "Env": honoured, "Cmd": honoured, "Healthcheck": honoured, "ArgsEscaped": refused, "Image": honoured, "Volumes": honoured,
		"WorkingDir": honoured, "Entrypoint": honoured, "NetworkDisabled": honoured, "OnBuild": refused, "Labels": honoured, "StopSignal": honoured, "StopTimeout": honoured, "Shell": refused,
	},
	"HostConfig": {
		"Binds": honoured, "ContainerIDFile": shown, "LogConfig": honoured, "NetworkMode": honoured, "PortBindings": honoured, "RestartPolicy": honoured, "AutoRemove": honoured,
		"VolumeDriver": honoured, "VolumesFrom": honoured, "ConsoleSize": honoured, "Annotations": honoured, "CapAdd": honoured, "CapDrop": honoured, "CgroupnsMode": honoured, "DNS": honoured,
		"DNSOptions": honoured, "DNSSearch": honoured, "ExtraHosts": honoured, "GroupAdd": honoured, "IpcMode": honoured, "Cgroup": refused, "Links": honoured, "OomScoreAdj": honoured,
		"PidMode": honoured, "Privileged": honoured, "PublishAllPorts": honoured, "ReadonlyRootfs": honoured, "SecurityOpt": honoured, "StorageOpt": refused, "Tmpfs": honoured,
		"UTSMode": honoured, "UsernsMode": honoured, "ShmSize": honoured, "Sysctls": honoured, "Runtime": honoured, "Umask": refused, "Isolation": honoured, "Mounts": honoured,
		"MaskedPaths": honoured, "ReadonlyPaths": honoured, "Init": honoured,
	},
	"Resources": {
		"CPUShares": honoured, "Memory": honoured, "NanoCPUs": honoured, "CgroupParent": honoured, "BlkioWeight": honoured, "BlkioWeightDevice": honoured, "BlkioDeviceReadBps": honoured,
		"BlkioDeviceWriteBps": honoured, "BlkioDeviceReadIOps": honoured, "BlkioDeviceWriteIOps": honoured, "CPUPeriod": honoured, "CPUQuota": honoured, "CPURealtimePeriod": refused,
		"CPURealtimeRuntime": refused, "CpusetCpus": honoured, "CpusetMems": refused, "Devices": honoured, "DeviceCgroupRules": honoured, "DeviceRequests": honoured, "MemoryReservation": honoured,
		"MemorySwap": honoured, "MemorySwappiness": honoured, "OomKillDisable": honoured, "PidsLimit": honoured, "Ulimits": honoured,
		"CPUCount": refused, "CPUPercent": refused, "IOMaximumIOps": refused, "IOMaximumBandwidth": refused,
	},
	"EndpointSettings": {
		"IPAMConfig": honoured, "Links": honoured, "Aliases": honoured, "DriverOpts": honoured, "GwPriority": honoured, "MacAddress": honoured,
		"NetworkID": ours, "EndpointID": ours, "Gateway": ours, "IPAddress": ours, "IPPrefixLen": ours, "IPv6Gateway": ours, "GlobalIPv6Address": ours, "GlobalIPv6PrefixLen": ours, "DNSNames": ours,
	},
	"Mount": {
		"Type": honoured, "Source": honoured, "Target": honoured, "ReadOnly": honoured, "Consistency": honoured, "BindOptions": honoured, "VolumeOptions": honoured, "ImageOptions": honoured,
		"TmpfsOptions": honoured, "ClusterOptions": refused,
	},
	"BindOptions":   {"Propagation": honoured, "NonRecursive": honoured, "CreateMountpoint": honoured, "ReadOnlyNonRecursive": honoured, "ReadOnlyForceRecursive": honoured},
	"VolumeOptions": {"NoCopy": honoured, "Labels": honoured, "Subpath": honoured, "DriverConfig": honoured},
	"ImageOptions":  {"Subpath": honoured},
	"TmpfsOptions":  {"SizeBytes": honoured, "Mode": honoured, "Options": honoured},
	"HealthcheckConfig": {
		"Test": honoured, "Interval": honoured, "Timeout": honoured, "StartPeriod": honoured, "StartInterval": honoured, "Retries": honoured,
	},
	"DeviceRequest": {"Driver": honoured, "Count": honoured, "DeviceIDs": honoured, "Capabilities": honoured, "Options": refused},
}

// refuse says which fields of v, a struct, have a value and cannot be honoured, by their names below at.
func refuse(at string, v any) error {
	s := reflect.ValueOf(v)
	for s.Kind() == reflect.Pointer {
		if s.IsNil() {
			return nil
		}
		s = s.Elem()
	}
	var names []string
	for i := range s.NumField() {
		f := s.Type().Field(i)
		if decisions[s.Type().Name()][f.Name] == refused && valued(s.Field(i)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			names = append(names, at+name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return cannot("%s: stack does not support it", strings.Join(names, ", "))
}

// valued says whether a field says anything.
func valued(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	}
	return !v.IsZero()
}

// cannot is the error of a request that asks for what is not supported, invalid of one that makes no sense.
func cannot(format string, args ...any) error {
	return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot use "+format, args...))
}

func invalid(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
}
