package cdi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	d := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(d, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

const gpus = `{"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "containerEdits": {"env": ["ALL=1"], "additionalGids": [44]}, "devices": [
	{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/n0"}]}},
	{"name": "10", "containerEdits": {"deviceNodes": [{"path": "/dev/n10"}]}},
	{"name": "2", "containerEdits": {"deviceNodes": [{"path": "/dev/n2", "hostPath": "/dev/host2", "permissions": "r"}], "mounts": [{"hostPath": "/lib/x", "containerPath": "/lib/y/", "options": ["ro"]}]}},
	{"name": "GPU-abc", "containerEdits": {"deviceNodes": [{"path": "/dev/n0"}]}}]}`

func TestFind(t *testing.T) {
	low := dir(t, map[string]string{"n.json": gpus, "tpu.yaml": "cdiVersion: 0.5.0\nkind: acme.org/tpu\ndevices:\n- name: a\n  containerEdits: {env: [FROM=low]}\n- name: hooked\n  containerEdits: {hooks: [{hookName: createContainer, path: /bin/h}]}\n"})
	high := dir(t, map[string]string{"tpu.yaml": "cdiVersion: 0.5.0\nkind: acme.org/tpu\ndevices:\n- name: a\n  containerEdits: {env: [FROM=high]}\n",
		"x.yaml": "kind: acme.org/twice\ndevices: [{name: a}]\n", "y.yaml": "kind: acme.org/twice\ndevices: [{name: a}]\n",
		"odd.yaml": "kind: acme.org/odd\ndevices: [{name: a, containerEdits: {magic: yes}}]\n", "z.txt": "not read"})
	r := Load(low, high, "/nowhere")
	for _, c := range []struct {
		q    Request
		want string
	}{
		{Request{Capabilities: []string{"gpu"}, Count: 2}, "env ALL=1 groups [44] /dev/n0=/dev/n0:rwm /dev/n2=/dev/host2:r /lib/x:/lib/y[ro]"},
		{Request{Driver: "nvidia", Count: -1}, "env ALL=1 groups [44] /dev/n0=/dev/n0:rwm /dev/n2=/dev/host2:r /dev/n10=/dev/n10:rwm /lib/x:/lib/y[ro]"},
		{Request{Driver: "nvidia", IDs: []string{"GPU-abc"}}, "env ALL=1 groups [44] /dev/n0=/dev/n0:rwm"},
		{Request{Driver: "cdi", IDs: []string{"acme.org/tpu=a"}}, "env FROM=high groups []"},
		{Request{Driver: "nvidia", Count: 4}, "error cannot give 4 devices of kind nvidia.com/gpu: there are 3"},
		{Request{Driver: "amd", Count: -1}, "error cannot find a device of kind amd.com/gpu"},
		{Request{Driver: "cdi", IDs: []string{"acme.org/tpu=b"}}, "error cannot find device acme.org/tpu=b"},
		{Request{Driver: "cdi", IDs: []string{"acme.org/odd=a"}}, "field magic not found"},
		{Request{Driver: "cdi", IDs: []string{"acme.org/tpu=hooked"}}, "error cannot use device acme.org/tpu=hooked, which " + low + "/tpu.yaml describes: it wants programs of the host to be run"},
		{Request{Driver: "cdi", IDs: []string{"acme.org/twice=a"}}, "both describe it"},
		{Request{Driver: "kata"}, `error cannot use the device driver "kata"`},
		{Request{Capabilities: []string{"tpu"}, Count: 1}, "error cannot find devices that can tpu"},
	} {
		e, err := r.Find(c.q)
		got := fmt.Sprint("env ", strings.Join(e.Env, ","), " groups ", e.Groups)
		for _, n := range e.Nodes {
			got += " " + n.Path + "=" + n.HostPath + ":" + n.Access
		}
		for _, m := range e.Mounts {
			got += fmt.Sprint(" ", m.Source, ":", m.Target, m.Options)
		}
		if err != nil {
			got = "error " + err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%+v gives\n%s\nwant\n%s", c.q, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(gpus)
	f.Add("kind: a/b\ndevices: [{name: x, containerEdits: {deviceNodes: [{path: x, major: 1}]}}]")
	f.Fuzz(func(t *testing.T, text string) {
		r := Load(dir(t, map[string]string{"a.yaml": text}))
		for kind, devices := range r.devices {
			for name := range devices {
				_, _ = r.Find(Request{Driver: "cdi", IDs: []string{kind + "=" + name}})
			}
		}
	})
}
