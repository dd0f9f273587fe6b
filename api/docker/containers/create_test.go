package containers

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
)

func read(t *testing.T, text string) (single.Want, []string, error) {
	t.Helper()
	body := createBody{CreateRequest: container.CreateRequest{Config: &container.Config{}}}
	if err := wire.DecodeText([]byte(text), &body, without...); err != nil {
		return single.Want{}, nil, err
	}
	return wanted(&body)
}

// TestCreateIsTranslated: what a request says is what the container is to be.
func TestCreateIsTranslated(t *testing.T) {
	for text, want := range map[string]plan.Spec{
		`{"Image":"app"}`: {Networks: map[string]plan.Endpoint{"bridge": {}}},
		`{"Image":"app","Cmd":["a","b"],"Entrypoint":[""],"Env":["A=1","B","C=","A=2"],"Tty":true,"OpenStdin":true,"StopTimeout":3,"HostConfig":{"NetworkMode":"none"}}`: {
			Command: []string{"a", "b"}, Entrypoint: []string{}, Environment: map[string]string{"A": "2", "C": ""}, Unset: []string{"B"}, TTY: true, StdinOpen: true, StopGrace: new(3 * time.Second), NetworkMode: "none"},
		`{"Image":"app","Volumes":{"/data":{},"/x":{}},"HostConfig":{"NetworkMode":"host","Binds":["v:/x:ro,nocopy","/etc:/y:rshared"],"Tmpfs":{"/t":"size=1m,mode=700,uid=3"}}}`: {
			NetworkMode: "host", Mounts: []plan.Mount{{Type: "volume", Source: "v", Target: "/x", ReadOnly: true, NoCopy: true}, {Type: "bind", Source: "/etc", Target: "/y", Propagation: "rshared", CreateHostPath: true}, {Type: "volume", Target: "/data"}},
			Tmpfs: []plan.Mount{{Type: "tmpfs", Target: "/t", Size: 1 << 20, Mode: 0o700, Options: []string{"uid=3"}}}},
		`{"Image":"app","HostConfig":{"NetworkMode":"container:abc","Memory":67108864,"NanoCpus":500000000,"MemorySwappiness":-1,"PidsLimit":5,"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2},"Init":true}}`: {
			NetworkMode: "container:abc", Resources: plan.Resources{Memory: 64 << 20, CPUs: 0.5, Pids: 5}, Restart: plan.RestartPolicy{Name: "on-failure", MaxAttempts: 2}, Init: true},
		`{"Image":"app","HostConfig":{"NetworkMode":"n1","PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"53/udp":[{"HostPort":"5000-5010"}],"90/tcp":null}},
		  "NetworkingConfig":{"EndpointsConfig":{"n1":{"Aliases":["a"],"IPAMConfig":{"IPv4Address":"10.0.0.9"},"MacAddress":"02:00:00:00:00:01","NetworkID":"ignored"},"n2":{"GwPriority":3,"Links":["db:database"]}}}}`: {
			Ports: []plan.Port{{Published: 5000, PublishedEnd: 5010, Target: 53, Protocol: "udp"}, {HostIP: "127.0.0.1", Published: 8080, Target: 80}, {Target: 90}}, ExternalLinks: []string{"db:database"},
			Networks: map[string]plan.Endpoint{"n1": {Aliases: []string{"a"}, IPv4: "10.0.0.9", MacAddress: "02:00:00:00:00:01", Priority: 1}, "n2": {GwPriority: 3}}},
		`{"Image":"app","Healthcheck":{"Test":["NONE"]},"HostConfig":{"NetworkMode":"none","MaskedPaths":[],"ReadonlyPaths":[],"ExtraHosts":["a:1.2.3.4","b=[::1]"]}}`: {
			NetworkMode: "none", HealthCheck: &plan.HealthCheck{Test: []string{"NONE"}, Disable: true}, SecurityOpt: []string{unlocked}, ExtraHosts: []plan.HostEntry{{Host: "a", Address: "1.2.3.4"}, {Host: "b", Address: "::1"}}},
	} {
		got, _, err := read(t, text)
		want.Image = "app"
		if err != nil || !reflect.DeepEqual(got.Spec, want) {
			a, _ := json.Marshal(got.Spec)
			b, _ := json.Marshal(want)
			t.Errorf("%s\n  is %s, %v\nexpected %s", text, a, err, b)
		}
	}
}

// TestCreateRefuses: what cannot be done is refused by its name, what makes no sense as invalid.
func TestCreateRefuses(t *testing.T) {
	for text, want := range map[string]struct {
		kind error
		text string
	}{
		`{}`: {errdefs.ErrInvalidArgument, "Image"},
		`{"Image":"a","HostConfig":{"Umask":18}}`:                                                                  {errdefs.ErrNotSupported, "HostConfig.Umask"},
		`{"Image":"a","HostConfig":{"CpusetMems":"0"}}`:                                                            {errdefs.ErrNotSupported, "HostConfig.CpusetMems"},
		`{"Image":"a","HostConfig":{"KernelMemory":5}}`:                                                            {errdefs.ErrInvalidArgument, "HostConfig.KernelMemory"},
		`{"Image":"a","HostConfig":{"Runtime":"kata"}}`:                                                            {errdefs.ErrNotSupported, "Runtime"},
		`{"Image":"a","HostConfig":{"MaskedPaths":["/x"]}}`:                                                        {errdefs.ErrNotSupported, "MaskedPaths"},
		`{"Image":"a","HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}`:                         {errdefs.ErrInvalidArgument, "AutoRemove"},
		`{"Image":"a","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}`:                                        {errdefs.ErrInvalidArgument, "sometimes"},
		`{"Image":"a","HostConfig":{"Binds":["rel/path:/x"]}}`:                                                     {errdefs.ErrInvalidArgument, "rel/path"},
		`{"Image":"a","HostConfig":{"Binds":["v:x"]}}`:                                                             {errdefs.ErrInvalidArgument, "absolute"},
		`{"Image":"a","HostConfig":{"Binds":["v:/x:fast"]}}`:                                                       {errdefs.ErrInvalidArgument, "fast"},
		`{"Image":"a","HostConfig":{"Binds":["v:/x","w:/x"]}}`:                                                     {errdefs.ErrInvalidArgument, "Duplicate mount point"},
		`{"Image":"a","HostConfig":{"Mounts":[{"Type":"cluster","Target":"/x"}]}}`:                                 {errdefs.ErrNotSupported, "cluster"},
		`{"Image":"a","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/x","BindOptions":{}}]}}`:                  {errdefs.ErrInvalidArgument, "bind"},
		`{"Image":"a","HostConfig":{"Memory":1}}`:                                                                  {errdefs.ErrInvalidArgument, "6MB"},
		`{"Image":"a","HostConfig":{"NanoCpus":9000000000000000}}`:                                                 {errdefs.ErrInvalidArgument, "range of CPUs is from 0.01 to "},
		`{"Image":"a","HostConfig":{"NanoCpus":1000000}}`:                                                          {errdefs.ErrInvalidArgument, "range of CPUs is from 0.01 to "},
		`{"Image":"a","HostConfig":{"CpusetCpus":"0,8000"}}`:                                                       {errdefs.ErrInvalidArgument, "Requested CPUs are not available - requested 0,8000, available: 0"},
		`{"Image":"a","NetworkingConfig":{"EndpointsConfig":{"n":{"DriverOpts":{"x":"y"}}}}}`:                      {errdefs.ErrNotSupported, "driver option x"},
		`{"Image":"a","HostConfig":{"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"n":{},"m":{}}}}`: {errdefs.ErrInvalidArgument, "host"},
		`{"Image":"a","HostConfig":{"DeviceRequests":[{"Capabilities":[["gpu"]],"Options":{"a":"b"}}]}}`:           {errdefs.ErrNotSupported, "Options"},
		`{"Image":"a","HostConfig":{"LogConfig":{"Type":"syslog","Config":{"max-size":"1m"}}}}`:                    {errdefs.ErrInvalidArgument, "logging option max-size: the driver syslog has no such option"},
		`{"Image":"a","HostConfig":{"LogConfig":{"Type":"syslog","Config":{"syslog-address":"logs:514"}}}}`:        {errdefs.ErrInvalidArgument, "syslog-address"},
		`{"Image":"a","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}`:                                {errdefs.ErrInvalidArgument, `"x"`},
	} {
		_, _, err := read(t, text)
		if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v, expected %v with %q", text, err, want.kind, want.text)
		}
	}
}

// TestTheDefaultNetworkHasItsName: clients send "default" or nothing; scripts look for "bridge" in what inspect and ps say, as dockerd does.
func TestTheDefaultNetworkHasItsName(t *testing.T) {
	for _, host := range []string{`{}`, `{"NetworkMode":""}`, `{"NetworkMode":"default"}`, `{"NetworkMode":"bridge"}`} {
		want, _, err := read(t, `{"Image":"app","HostConfig":`+host+`}`)
		if err != nil {
			t.Fatal(err)
		}
		if mode := hostConfig(&single.Detail{Spec: want.Spec, Standalone: &want.Traits}).NetworkMode; mode != "bridge" {
			t.Errorf("%s is told as %q", host, mode)
		}
		if _, on := want.Spec.Networks["bridge"]; !on || len(want.Spec.Networks) != 1 {
			t.Errorf("%s is on %v", host, want.Spec.Networks)
		}
	}
}

// TestInspectSaysTheLimitOfSwap: also where nobody has said one, as dockerd does.
func TestInspectSaysTheLimitOfSwap(t *testing.T) {
	for asked, want := range map[plan.Resources]int64{
		{}:                                  0,
		{Memory: 64 << 20}:                  128 << 20,
		{Memory: 64 << 20, MemorySwap: -1}:  -1,
		{Memory: 64 << 20, MemorySwap: 1e8}: 1e8,
	} {
		if got := limits(&plan.Spec{Resources: asked}).MemorySwap; got != want {
			t.Errorf("of %+v: %d, expected %d", asked, got, want)
		}
	}
}

// TestInspectSaysWhatWasAsked: who makes a container of what inspect says of another gets the same.
func TestInspectSaysWhatWasAsked(t *testing.T) {
	text := `{"Image":"app","Hostname":"h","User":"1","Env":["A=1"],"Cmd":["x"],"StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{}},"HostConfig":{"NetworkMode":"n1","Memory":67108864,"MemorySwap":-1,"CpuShares":5,"Binds":["v:/x:ro"],
	"Mounts":[{"Type":"bind","Source":"/etc","Target":"/y","BindOptions":{"NonRecursive":true}},{"Type":"tmpfs","Target":"/u","TmpfsOptions":{"SizeBytes":4096,"Options":[["noexec"],["uid","3"]],"Mode":448}}],"Tmpfs":{"/t":"size=1048576,mode=700"},"CapAdd":["NET_ADMIN"],"Dns":["1.1.1.1"],"ExtraHosts":["a:1.2.3.4"],
	"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"RestartPolicy":{"Name":"always"},"Ulimits":[{"Name":"nofile","Soft":5,"Hard":6}],"Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/fuse","CgroupPermissions":"r"}],
	"ReadonlyRootfs":true,"ShmSize":1048576,"Sysctls":{"net.core.somaxconn":"5"},"PidMode":"host","LogConfig":{"Type":"local","Config":{"max-size":"1m"}}}}`
	first, _, err := read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	d := single.Detail{Spec: first.Spec, Standalone: &first.Traits, Exposed: []string{"80/tcp"}}
	d.Spec.Networks = first.Spec.Networks
	h := hostConfig(&d)
	h.Runtime, h.IpcMode, h.CgroupnsMode = "", "", "" // what dockerd says of itself, too
	c := config(&d)
	c.Hostname, c.Env, c.Volumes = "h", []string{"A=1"}, nil // of the runtime's record, which there is none of here
	again, err := json.Marshal(struct {
		*container.Config
		HostConfig       *container.HostConfig
		NetworkingConfig *network.NetworkingConfig
	}{c, h, nil})
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := read(t, string(again))
	if err != nil {
		t.Fatalf("%v of %s", err, again)
	}
	a, _ := json.Marshal(first.Spec)
	b, _ := json.Marshal(second.Spec)
	if string(a) != string(b) {
		t.Errorf("first  %s\nsecond %s", a, b)
	}
}
