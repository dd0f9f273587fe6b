package spec_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stackrun/stack/spec"
)

const unfit = `
services:
  web:
    image: x
    depends_on:
      gone: {condition: service_started, required: false}
  api:
    build: ./app
    env_file: missing.env
    network_mode: bridge
    ports: ["80:80"]
  gpu:
    image: x
    storage_opt: {size: 1G}
    profiles: [never]
`

func loadAs(purpose spec.Purpose, services ...string) (*spec.Project, string, bool) {
	p, list := spec.Load(context.Background(), spec.Input{
		FS: fstest.MapFS{"c.yaml": {Data: []byte(unfit)}}, Files: []string{"/c.yaml"}, Dir: "/", Name: "demo",
		Purpose: purpose, Services: services, Env: map[string]string{"DOCKER_DEFAULT_PLATFORM": "linux/arm64"},
	})
	var texts []string
	for _, d := range list {
		texts = append(texts, d.Error())
	}
	return p, strings.Join(texts, "\n"), list.HasErrors()
}

// TestPurpose: what cannot be run is a fault for who runs it, a warning for who looks
// at it, and nothing to who manages what there is.
func TestPurpose(t *testing.T) {
	if p, text, _ := loadAs(spec.ToRun); p != nil || !strings.Contains(text, `there is no bridge that projects share`) || !strings.Contains(text, "missing.env") {
		t.Errorf("to run all: project %t, faults:\n%s", p != nil, text)
	}
	if p, text, _ := loadAs(spec.ToRun, "web"); p == nil || text != "" {
		t.Errorf("to run web, which needs nothing of api: faults:\n%s", text)
	} else {
		if len(p.Services["web"].DependsOn) != 0 {
			t.Errorf("an optional dependency that is not there stays: %v", p.Services["web"].DependsOn)
		}
		if p.Services["web"].Platform != "linux/arm64" {
			t.Errorf("DOCKER_DEFAULT_PLATFORM is not heard: %q", p.Services["web"].Platform)
		}
	}
	if p, text, _ := loadAs(spec.ToRun, "gpu"); p != nil || !strings.Contains(text, "storage_opt: the root") {
		t.Errorf("to run gpu: project %t, faults:\n%s", p != nil, text)
	}
	if p, text, _ := loadAs(spec.ToShow); p != nil || strings.Count(text, "missing.env") != 1 {
		t.Errorf("to show, an env file is missing: project %t, faults:\n%s", p != nil, text)
	}
	p, text, failed := loadAs(spec.ToShow, "web")
	if p == nil || failed {
		t.Fatalf("to show web: faults:\n%s", text)
	}
	if s := p.Services["api"]; s.Build == nil || s.Build.Context != "/app" || s.NetworkMode != "bridge" || len(s.Ports) != 1 {
		t.Errorf("to show, the service is as written: %+v", s)
	}
	if len(p.Services["web"].DependsOn) != 1 || p.Services["web"].Platform != "" {
		t.Errorf("to show, the service is as written: %+v", p.Services["web"])
	}
	if p, text, _ := loadAs(spec.ToManage); p == nil || text != "" {
		t.Errorf("to manage: project %t, faults:\n%s", p != nil, text)
	}
}

// TestInactiveDependency: what was started under other profiles can be managed under these.
func TestInactiveDependency(t *testing.T) {
	for purpose, want := range map[spec.Purpose]bool{spec.ToRun: false, spec.ToShow: false, spec.ToManage: true} {
		_, list := spec.Load(context.Background(), spec.Input{
			FS:    fstest.MapFS{"c.yaml": {Data: []byte("services: {web: {image: x, depends_on: [db]}, db: {image: x, profiles: [data]}}")}},
			Files: []string{"/c.yaml"}, Dir: "/", Name: "demo", Purpose: purpose,
		})
		if list.HasErrors() == want {
			t.Errorf("purpose %d: %v", purpose, list.Err())
		}
	}
}

// TestShownWithoutVariables: where variables are not set, what becomes of "${PREFIX}-db" and "${FROM}:${TO}" is shown, and not run.
func TestShownWithoutVariables(t *testing.T) {
	for purpose, want := range map[spec.Purpose]string{spec.ToRun: "", spec.ToShow: "-db", spec.ToManage: ""} {
		p, list := spec.Load(context.Background(), spec.Input{
			FS:    fstest.MapFS{"c.yaml": {Data: []byte("services: {web: {image: x, container_name: \"${PREFIX}-db\", volumes: [\"${FROM}:${TO}\"]}}")}},
			Files: []string{"/c.yaml"}, Dir: "/", Name: "demo", Purpose: purpose,
		})
		if list.HasErrors() != (purpose == spec.ToRun) {
			t.Errorf("purpose %d: %v", purpose, list.Err())
		}
		if p != nil && (p.Services["web"].ContainerName != want || p.Services["web"].Mounts[0].Target != ":") {
			t.Errorf("purpose %d: called %q, mounts %+v", purpose, p.Services["web"].ContainerName, p.Services["web"].Mounts)
		}
	}
}

// TestTakenToRun: what docker takes and does otherwise than by a key of the language, or what is of no use here, runs all the same.
func TestTakenToRun(t *testing.T) {
	load := func(text string, purpose spec.Purpose, all bool) (*spec.Project, string) {
		t.Helper()
		p, list := spec.Load(context.Background(), spec.Input{FS: fstest.MapFS{"c.yaml": {Data: []byte(text)}}, Files: []string{"/c.yaml"}, Dir: "/", Name: "demo", Purpose: purpose, AllResources: all})
		var texts []string
		for _, d := range list {
			texts = append(texts, d.Error())
		}
		return p, strings.Join(texts, "\n")
	}
	const sent = "services: {web: {image: x, logging: {driver: splunk, options: {max-size: 1m}}}}\n"
	if p, said := load(sent, spec.ToRun, false); p == nil || p.Services["web"].Logging.Driver != "" || p.Services["web"].Logging.Options["max-size"] != "1m" || !strings.Contains(said, "no log is sent to splunk") {
		t.Errorf("a log that docker would send: %+v; %s", p, said)
	}
	if p, _ := load(sent, spec.ToShow, false); p == nil || p.Services["web"].Logging.Driver != "splunk" {
		t.Errorf("a log that docker would send, shown: %+v", p)
	}
	const only = "volumes: {v: }\nnetworks: {n: }\n"
	if p, said := load(only, spec.ToRun, true); p == nil || len(p.Volumes) != 1 || len(p.Networks) != 1 {
		t.Errorf("all resources of a file without services: %s", said)
	}
	if _, said := load(only, spec.ToRun, false); !strings.Contains(said, "it has no services") {
		t.Errorf("a file without services: %s", said)
	}
	network := func(keys string, purpose spec.Purpose) *spec.Network {
		p, said := load("services: {web: {image: x, networks: [n]}}\nnetworks: {n: {driver_opts: {com.docker.network.enable_ipv6: \"true\", com.docker.network.enable_ipv4: \"false\"}"+keys+"}}\n", purpose, false)
		if p == nil {
			t.Fatal(said)
		}
		return p.Networks["n"]
	}
	if n := network("", spec.ToRun); !n.EnableIPv6 || n.EnableIPv4 == nil || *n.EnableIPv4 {
		t.Errorf("families by options: %+v", n)
	}
	if n := network(", enable_ipv6: false, enable_ipv4: true", spec.ToRun); n.EnableIPv6 || !*n.EnableIPv4 {
		t.Errorf("families by keys and options: %+v", n)
	}
	if n := network("", spec.ToShow); n.EnableIPv6 || n.EnableIPv4 != nil {
		t.Errorf("families by options, shown: %+v", n)
	}
}
