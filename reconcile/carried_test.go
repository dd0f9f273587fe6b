package reconcile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wiring"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec"
)

// lens reaches one value below a root and writes back what modify makes of it.
type lens func(root reflect.Value, modify func(reflect.Value))

// leaves are the values below t by path, "Networks.*.Aliases[]": every field of every struct, one element of each map and list.
func leaves(t reflect.Type, path string, at lens) map[string]lens {
	found := map[string]lens{}
	add := func(t reflect.Type, path string, l lens) { maps.Copy(found, leaves(t, path, l)) }
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			p := t.Field(i).Name
			if path != "" {
				p = path + "." + p
			}
			add(t.Field(i).Type, p, func(root reflect.Value, m func(reflect.Value)) {
				at(root, func(v reflect.Value) { m(v.Field(i)) })
			})
		}
	case reflect.Pointer:
		add(t.Elem(), path, func(root reflect.Value, m func(reflect.Value)) {
			at(root, func(v reflect.Value) {
				fresh := reflect.New(t.Elem())
				if !v.IsNil() {
					fresh.Elem().Set(v.Elem())
				}
				m(fresh.Elem())
				v.Set(fresh)
			})
		})
	case reflect.Slice:
		add(t.Elem(), path+"[]", func(root reflect.Value, m func(reflect.Value)) {
			at(root, func(v reflect.Value) {
				fresh := reflect.MakeSlice(t, max(1, v.Len()), max(1, v.Len()))
				reflect.Copy(fresh, v)
				m(fresh.Index(0))
				v.Set(fresh)
			})
		})
	case reflect.Map:
		add(t.Elem(), path+".*", func(root reflect.Value, m func(reflect.Value)) {
			at(root, func(v reflect.Value) {
				key := reflect.ValueOf("k")
				fresh := reflect.MakeMap(t)
				element := reflect.New(t.Elem()).Elem()
				for _, k := range v.MapKeys() {
					key = k
					element.Set(v.MapIndex(k))
				}
				m(element)
				fresh.SetMapIndex(key, element)
				v.Set(fresh)
			})
		})
	default:
		found[path] = at
	}
	return found
}

func root(v reflect.Value, modify func(reflect.Value)) { modify(v) }

// fill makes an element of each list and map and a value of each pointer, so that a leaf makes the difference and not that
// its list is there.
func fill(all map[string]lens, v any) {
	for _, path := range slices.Sorted(maps.Keys(all)) {
		all[path](reflect.ValueOf(v).Elem(), func(reflect.Value) {})
	}
}

// set gives a leaf a value other than the one it has.
func set(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	default:
		panic("a leaf of kind " + v.Kind().String())
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestEveryFieldOfAServiceIsWanted: whatever a file can say of a service is in what the plan compares, is refused by name, or is
// listed here with the reason. A field that is added to spec.Service and forgotten in Desire fails.
func TestEveryFieldOfAServiceIsWanted(t *testing.T) {
	reasons := map[string]string{
		"Profiles[]":              "the loader has selected by them",
		"Networks.*.DriverOpts.*": "TestOptionsOfAnEndpoint",
		"Networks.*.Written":      "how the file says it: config shows it",
		"Attach":                  "read by the front end: whose output up shows",
		"Ports[].Name":            "documentation, says the language",
		"Ports[].AppProtocol":     "documentation, says the language",
		"Ports[].Mode":            "host and ingress are the same on one host",
		"Mounts[].Written":        "for showing the file as it is written",
		"Tmpfs[].Written":         "for showing the file as it is written",
		"RestartText":             "for showing the file as it is written; Restart has its meaning",
		"EnvFiles[].Path":         "for showing the file as it is written",
		"EnvFiles[].Required":     "likewise",
		"EnvFiles[].Format":       "likewise",
		"LabelFiles[]":            "for showing the file as it is written; Labels has what they say",
		"Links[]":                 "aliases, when the file is loaded to be run",
		"UserNS":                  "host is all that the loader lets through, and is so",
		"UseAPISocket":            "a mount, when the file is loaded to be run",
		"Windows":                 "default is all that the loader lets through on Linux",
		"Extensions.*[]":          "x- keys have no meaning",

		"Models.*.EndpointVar": "of a model of the project: TestProvided",
		"Models.*.ModelVar":    "likewise",
	}
	for _, hook := range []string{"PostStart", "PreStop"} {
		reasons[hook+"[].Image"], reasons[hook+"[].PerReplica"] = "of pre_start", "likewise"
	}
	// What is said of whole parts of the language: the loader refuses or warns of the attribute when it loads a file to be run.
	parts := map[string]string{
		"CredentialSpec": "credential_spec",
		"GPUs[].Options": "gpus[].options", "Deploy.Reservations.Devices[].Options": "deploy.resources.reservations.devices[].options",
		"Runtime": "runtime", "StorageOpt": "storage_opt",
		"Resources.CPUCount": "cpu_count", "Resources.CPUPercent": "cpu_percent", "Resources.CPURTPeriod": "cpu_rt_period", "Resources.CPURTRuntime": "cpu_rt_runtime",
		"Mounts[].Consistency": "volumes[].consistency", "Tmpfs[].Consistency": "volumes[].consistency",
		"Mounts[].SELinux": "volumes[].bind.selinux", "Tmpfs[].SELinux": "volumes[].bind.selinux",
		// As written; what has an effect on one host is in Replicas, Restart, Resources and Labels (spec.Deploy).
		"Deploy.Mode": "", "Deploy.Replicas": "", "Deploy.Labels": "", "Deploy.Limits": "", "Deploy.Reservations.CPUs": "", "Deploy.Reservations.Memory": "", "Deploy.Reservations.Pids": "", "Deploy.Reservations.Generic": "", "Deploy.Restart": "", "Deploy.Placement": "", "Deploy.EndpointMode": "",
		// How an image is made is the builder's affair (TestBuildRequest): what comes of it makes another container.
		"Build": "",
		// What is watched is the command's affair (cmd/stack/watch).
		"Develop": "",
	}
	for _, key := range parts {
		if key == "" {
			continue
		}
		if at := schema.At("services.*." + key); at == nil || at.Level == schema.Supported {
			t.Errorf("%s is supported, says the schema, and listed here as refused or without effect", key)
		}
	}
	build := func() (*spec.Project, *spec.Service) {
		s := &spec.Service{Name: "web", Image: "app:1", Replicas: 1, Networks: map[string]*spec.Endpoint{"default": {}},
			Mounts: []spec.Mount{{Type: "bind", Source: "/a", Target: "/b"}}, DependsOn: map[string]spec.Dependency{"db": {}}}
		return &spec.Project{Name: "shop", Services: map[string]*spec.Service{"web": s, "db": {Name: "db", Image: "app:1"}},
			Networks: map[string]*spec.Network{"default": {Key: "default", Name: "shop_default"}}}, s
	}
	want := func(p *spec.Project) (string, bool) {
		d, diags := desire.Of(p)
		return encode(t, d.Services["web"]), diags.HasErrors()
	}
	all := leaves(reflect.TypeFor[spec.Service](), "", root)
	filled := func(path string) (*spec.Project, *spec.Service) {
		p, s := build()
		fill(all, s)
		if !strings.HasPrefix(path, "Provider.") { // such a service has nothing else
			s.Provider = nil
		}
		return p, s
	}
	p, _ := filled("")
	before, refused := want(p)
	if refused {
		t.Fatal("the service to begin with is refused")
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		p, s := filled(path)
		all[path](reflect.ValueOf(s).Elem(), func(v reflect.Value) { set(v, "other") })
		after, refused := want(p)
		_, listed := reasons[path]
		for part := range parts {
			listed = listed || path == part || strings.HasPrefix(path, part+".") || strings.HasPrefix(path, part+"[")
		}
		switch carried := after != before || refused; {
		case !carried && !listed:
			t.Errorf("spec.Service.%s is dropped: give it a place in plan.Spec, refuse it by name, or list it with the reason", path)
		case carried && listed:
			t.Errorf("spec.Service.%s is listed as without effect and has one", path)
		}
	}
	for path := range reasons {
		if all[path] == nil {
			t.Errorf("%s is listed and is no field", path)
		}
	}
}

// TestEveryWantReachesADriver: whatever the plan compares changes what some driver is told, or is listed with the place that reads
// it.
func TestEveryWantReachesADriver(t *testing.T) {
	reasons := map[string]string{
		"Image":             "resolved and pulled by reference, in performer.create and Engine.pull",
		"Platform":          "likewise",
		"Mounts[].Labels.*": "of the anonymous volume, in performer.create",
		"Tmpfs[].Type":      "it is tmpfs by its place",
		"Tmpfs[].Source":    "a tmpfs has none",
		"Configs[].Path":    "read by performer.contents", "Configs[].Digest": "stands for the content in a comparison",
		"Secrets[].Path": "read by performer.contents", "Secrets[].Digest": "stands for the content in a comparison",
		"Devices[].Source": "looked up by hostDevices", "Devices[].Target": "likewise", "Devices[].Permissions": "likewise",
		"VolumesFrom[]":           "found by Engine.volumesFrom",
		"DeviceRequests[].Driver": "found by grant.Requested", "DeviceRequests[].Count": "likewise", "DeviceRequests[].IDs[]": "likewise", "DeviceRequests[].Capabilities[]": "likewise",
		"Resources.BlkIO.Weight": "looked up by grant.BlockIO",
		"Ports[].Asked":          "told by Engine.row and kept on record: what is bound is Published",
		"Networks.*.Priority":    "orders interfaces: TestNetworksAreOrderedByPriority",
	}
	for _, key := range []string{"Tmpfs[].Propagation", "Tmpfs[].Recursive", "Tmpfs[].CreateHostPath", "Tmpfs[].IDMap", "Tmpfs[].NoCopy", "Tmpfs[].Subpath", "Tmpfs[].Labels.*"} {
		reasons[key] = "of other kinds of mounts"
	}
	for _, key := range []string{"WeightDevice", "ReadBps", "WriteBps", "ReadIOps", "WriteIOps"} {
		reasons["Resources.BlkIO."+key+"[].Path"], reasons["Resources.BlkIO."+key+"[].Rate"] = "looked up by grant.BlockIO", "likewise"
	}
	values := map[string]string{
		"DeviceRules[]": "c 1:7 r", "ExternalLinks[]": "there:here", "IPC": "host", "PID": "host", "UTS": "host", "Cgroup": "host", "NetworkMode": "none", "CapAdd[]": "NET_ADMIN", "CapDrop[]": "CHOWN", "SecurityOpt[]": "no-new-privileges",
		"DNS[]": "10.0.0.9", "ExtraHosts[].Address": "10.0.0.8", "Networks.*.IPv4": "10.0.0.5", "Networks.*.IPv6": "fd00::5", "Networks.*.LinkLocal[]": "169.254.8.8", "Networks.*.Sysctls": "net.ipv4.conf.IFNAME.rp_filter=2", "Ports[].HostIP": "127.0.0.1",
		"Logging.Driver": "none", "Logging.Options.*": "3", "Configs[].UID": "7", "Configs[].GID": "7", "Secrets[].UID": "7", "Secrets[].GID": "7", "StopSignal": "SIGINT",
		"Sysctls.*": "7", "HealthCheck.Test[]": "CMD-SHELL", "Restart.Name": "always", "Mounts[].Type": "volume", "Mounts[].IDMap": plan.MatchUser, "Unset[]": "OF_IMAGE",
	}
	build := func() *plan.Spec {
		return &plan.Spec{Image: "app:1", Networks: map[string]plan.Endpoint{"shop_default": {LinkLocal: []string{"169.254.8.7"}}}, Mounts: []plan.Mount{{Type: "bind", Source: "/a", Target: "/b"}},
			Tmpfs: []plan.Mount{{Type: "tmpfs", Target: "/t"}}, ExtraHosts: []plan.HostEntry{{Host: "h", Address: "10.0.0.7"}}, Logging: plan.Logging{Options: map[string]string{"max-file": "2"}},
			DNS: []string{"10.0.0.1"}, DeviceRules: []string{"c 1:3 r"}, SecurityOpt: []string{"seccomp=unconfined"}, CapAdd: []string{"KILL"}, CapDrop: []string{"KILL"}, HealthCheck: &plan.HealthCheck{Test: []string{"CMD", "true"}},
			Command: []string{"serve"}, Resources: plan.Resources{Memory: 64 << 20}, Configs: []plan.File{{Source: "c", Target: "/c"}}, Secrets: []plan.File{{Source: "s", Target: "/s"}}}
	}
	told := func(s *plan.Spec) string {
		cfg, _, err := bundle.New(bundle.Input{ID: strings.Repeat("ab", 32), Name: "n", Spec: *s, Image: v1.Config{Cmd: []string{"x"}, Env: []string{"OF_IMAGE=x"}, Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}}}, LogPath: "/log",
			Available: []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"}, CreatedAt: time.Unix(1, 0)})
		if err != nil {
			return err.Error()
		}
		delete(cfg.Labels, label.Hash)
		delete(cfg.Facts, bundle.FactWant)
		c := &inventory.Container{State: runtime.State{ID: cfg.ID, Config: &cfg}, Spec: *s, Name: "n", Service: "web"}
		sandbox, err := wiring.Sandbox(c)
		if err != nil {
			return err.Error()
		}
		uses, err := bundle.Uses(s, nil, func(kind string, f plan.File) ([]byte, error) { return []byte(kind + f.Source), nil })
		if err != nil {
			return err.Error()
		}
		extra, err := wiring.New(driver.Set{}, nil, nil).ExtraHosts(t.Context(), s)
		if err != nil {
			return err.Error()
		}
		var hooks []runtime.Process
		for _, h := range slices.Concat(s.PostStart, s.PreStop) {
			hooks = append(hooks, lifecycle.HookProcess(h))
		}
		var steps []plan.Spec
		alone := &plan.Spec{PreStart: s.PreStart}
		for i := range s.PreStart {
			steps = append(steps, bundle.Step("", alone, i))
		}
		return encode(t, []any{cfg, sandbox, uses, extra, c.Supervision(), hooks, steps, plan.StepsBefore(s.PreStart, false)})
	}
	all := leaves(reflect.TypeFor[plan.Spec](), "", root)
	base := build()
	fill(all, base)
	before := told(base)
	if !strings.HasPrefix(before, "[") {
		t.Fatal(before)
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		s := build()
		fill(all, s)
		all[path](reflect.ValueOf(s).Elem(), func(v reflect.Value) { set(v, cmp.Or(values[path], "other")) })
		_, listed := reasons[path]
		switch carried := told(s) != before; {
		case !carried && !listed:
			t.Errorf("plan.Spec.%s reaches no driver", path)
		case carried && listed:
			t.Errorf("plan.Spec.%s is listed and reaches a driver here", path)
		}
	}
	for path := range reasons {
		if all[path] == nil {
			t.Errorf("%s is listed and is no field", path)
		}
	}
}

func TestNetworksAreOrderedByPriority(t *testing.T) {
	c := &inventory.Container{Spec: plan.Spec{MacAddress: "02:00:00:00:00:07", Networks: map[string]plan.Endpoint{"a": {}, "b": {Priority: 5}, "c": {Priority: 5}}}}
	got, err := wiring.EndpointConfigs(c)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, e := range got {
		order = append(order, e.Network+e.MAC)
	}
	if want := "[b02:00:00:00:00:07 c a]"; fmt.Sprint(order) != want {
		t.Errorf("got %v, expected %s", order, want)
	}
}
