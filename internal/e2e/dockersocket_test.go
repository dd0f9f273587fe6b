package e2e

import (
	"os"
	"testing"
)

// TestDockerSocket: where no dockerd listens, a service that mounts its socket, or says use_api_socket, is given that of this engine, and sees the
// project by it. Nothing is made in the place of the socket.
func TestDockerSocket(t *testing.T) {
	const socket, list = "/var/run/docker.sock", `
import http.client, json, socket
s = socket.socket(socket.AF_UNIX)
s.connect("/var/run/docker.sock")
c = http.client.HTTPConnection("docker")
c.sock = s
c.request("GET", "/v1.44/containers/json")
print(*sorted(n for row in json.load(c.getresponse()) for n in row["Names"] if n.startswith("/sock-")))
`
	if _, err := os.Lstat(socket); err == nil {
		t.Skipf("SKIP: %s is there", socket)
	}
	p := compose(t, "sock", `
services:
  proxy:
    image: python:3.11
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
  gateway:
    image: python:3.11
    command: [sleep, infinity]
    stop_grace_period: 0s
    use_api_socket: true
`)
	p.up()
	for _, service := range []string{"proxy", "gateway"} {
		equal(t, "what "+service+" sees", p.ok("exec", "-T", service, "python3", "-c", list), "/sock-gateway-1 /sock-proxy-1\n")
	}
	absent(t, socket)
}
