package e2e

import (
	"os"
	"testing"
)

// TestCDI: what a vendor's file says of a device is what containers that ask for it have.
func TestCDI(t *testing.T) {
	theHost(t) // before anything is written: the machine is the sandbox then
	const dir, file = "/var/run/cdi", "/var/run/cdi/acme.json"
	t.Cleanup(func() { os.RemoveAll(dir) })
	write(t, file, `{"cdiVersion": "0.6.0", "kind": "acme.com/gpu", "containerEdits": {"env": ["VENDOR=acme"]}, "devices": [
		{"name": "0", "containerEdits": {"env": ["CARD=0"], "additionalGids": [4711],
			"deviceNodes": [{"path": "/dev/card0", "hostPath": "/dev/full", "fileMode": 384}, {"path": "/dev/made", "type": "c", "major": 1, "minor": 5}],
			"mounts": [{"hostPath": "/etc/hostname", "containerPath": "/usr/lib/acme", "options": ["ro"]}]}},
		{"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/acme-hook"}]}}]}`)
	p := compose(t, "cdi", `
services:
  gpus: {image: busybox, command: sleep 1000, init: true, gpus: [{count: 1}], environment: [CARD=mine]}
  reserved:
    image: busybox
    command: sleep 1000
    init: true
    deploy: {resources: {reservations: {devices: [{capabilities: [gpu], device_ids: ["0"]}]}}}
  named: {image: busybox, command: sleep 1000, init: true, devices: ["acme.com/gpu=0"]}
  without: {image: busybox, command: sleep 1000, init: true}
  two: {image: busybox, profiles: [wrong], gpus: [{count: 2}]}
  hooked: {image: busybox, profiles: [wrong], devices: ["acme.com/gpu=hooked"]}
  other: {image: busybox, profiles: [wrong], gpus: [{driver: nvidia, count: 1}]}
`)
	p.up()
	for _, service := range []string{"gpus", "reserved", "named"} {
		equal(t, service, p.sh(service, "echo $VENDOR $CARD; stat -c '%a %t:%T' /dev/card0; head -c 2 /dev/made | od -An -tx1; touch /usr/lib/acme 2>&1 | grep -c Read-only; id -G | grep -cw 4711"),
			"acme 0\n600 1:7\n 00 00\n1\n1")
	}
	if r := p.run("exec", "-T", "without", "sh", "-c", "ls /dev/card0 || echo $VENDOR"); r.code == 0 && r.stdout != "\n" {
		t.Errorf("a service that asks for no device has one: %s", r)
	}
	p.fails(1, []string{"compose.yaml:11:", "cannot give 2 devices of kind acme.com/gpu: there are 1"}, "up", "-d", "two")
	p.fails(1, []string{"compose.yaml:12:", "/usr/bin/acme-hook"}, "up", "-d", "hooked")
	p.fails(1, []string{"compose.yaml:13:", "cannot find a device of kind nvidia.com/gpu"}, "up", "-d", "other")
}
