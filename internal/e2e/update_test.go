package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// webFile is a project of one service that serves its version over HTTP, with deploy as it is updated.
func webFile(version, ports, deploy string) string {
	return `
services:
  web:
    image: busybox
    environment: {VERSION: "` + version + `"}
    command: ["sh", "-c", "mkdir -p /www && echo $$VERSION >/www/index.html && exec httpd -f -p 80 -h /www"]
    healthcheck: {test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/"], interval: 1s}
    stop_grace_period: 1s
    ports: [` + ports + `]
    deploy:
` + deploy
}

// rollingFile is two containers that are replaced one after the other, each by one that is started beside it.
func rollingFile(version string) string {
	return webFile(version, `"18098-18099:80"`, `
      replicas: 2
      update_config: {order: start-first, monitor: 100ms}
`)
}

// pythonFile is webFile with another image, which takes longer to be ready.
func pythonFile(version, ports, deploy string) string {
	return `
services:
  web:
    image: python:3.11
    command: ["sh", "-c", "mkdir -p /www && echo ` + version + ` >/www/index.html && sleep 1 && exec python -m http.server -d /www 80"]
    healthcheck: {test: ["CMD", "python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1/')"], interval: 1s, start_period: 30s, start_interval: 100ms}
    stop_grace_period: 1s
    ports: [` + ports + `]
    deploy:
` + deploy
}

// asking is clients in a loop, one for each URL.
type asking struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	asked  map[string]int    // by URL
	last   map[string]string // answer
	failed []string
}

func ask(t *testing.T, urls ...string) *asking {
	ctx, cancel := context.WithCancel(t.Context())
	a := &asking{cancel: cancel, asked: map[string]int{}, last: map[string]string{}}
	t.Cleanup(cancel)
	for _, url := range urls {
		a.wg.Go(func() {
			for ctx.Err() == nil {
				code, body, _, err := get(url)
				a.mu.Lock()
				a.asked[url]++
				a.last[url] = strings.TrimSpace(body)
				if err != nil || code != 200 {
					a.failed = append(a.failed, fmt.Sprintf("%s: %d, %q, %v", url, code, body, err))
				}
				a.mu.Unlock()
			}
		})
	}
	return a
}

// hears says whether the last answer to everybody was version.
func (a *asking) hears(version string) func() bool {
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for url := range a.asked {
			if a.last[url] != version {
				return false
			}
		}
		return len(a.asked) > 0
	}
}

// stop ends the loops. No request may have failed.
func (a *asking) stop(t *testing.T) {
	t.Helper()
	a.cancel()
	a.wg.Wait()
	n := 0
	for _, k := range a.asked {
		n += k
	}
	t.Logf("%d requests, %d failed", n, len(a.failed))
	if len(a.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(a.failed), n, a.failed[0])
	}
}

// TestUpdateStartFirst: clients in a loop see no failed request while environment and image change, and a connection that is there
// stays with the container that took it until that one is gone.
func TestUpdateStartFirst(t *testing.T) {
	const deploy = `
      update_config: {order: start-first, monitor: 100ms}
`
	p := compose(t, "startfirst", strings.Replace(webFile("one", `"18092:80"`, deploy), "stop_grace_period: 1s", "stop_grace_period: 2m", 1))
	p.up()
	first := p.one("startfirst-web-1")
	old := p.status(first.ID)
	a := ask(t, "http://127.0.0.1:18092/", "http://[::1]:18092/")
	p.eventually("clients hear one", a.hears("one"))

	// It is opened, and asks when the update has handed the port over.
	conn, err := net.Dial("tcp", "127.0.0.1:18092")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var answer string
	var wg sync.WaitGroup
	wg.Go(func() {
		p.eventually("clients hear two", a.hears("two"))
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		raw, _ := io.ReadAll(conn)
		answer = string(raw)
		mustKill(t, old.Pid) // it has no reason to end before its time is over
	})
	p.write("compose.yaml", webFile("two", `"18092:80"`, deploy))
	p.ok("up", "--detach")
	wg.Wait()
	if !strings.HasSuffix(strings.TrimSpace(answer), "one") {
		t.Errorf("the connection from before the update got %q", answer)
	}
	second := p.one("startfirst-web-1")
	if second.ID == first.ID || len(p.ps()) != 1 {
		t.Errorf("after the update: %+v", p.ps())
	}
	p.write("compose.yaml", pythonFile("three", `"18092:80"`, deploy))
	p.ok("up", "--detach")
	p.eventually("clients hear three", a.hears("three"))
	a.stop(t)
	equal(t, "the image", p.one("startfirst-web-1").Image, "python:3.11")

	// The log is the replica's, whichever container wrote it.
	p.ok("logs", "--tail", "5", "web")
}

// TestUpdateReplicas: several containers with a range of ports, one at a time and then all at once.
func TestUpdateReplicas(t *testing.T) {
	deploy := func(parallelism int) string {
		return fmt.Sprintf(`
      replicas: 3
      update_config: {order: start-first, monitor: 100ms, parallelism: %d}
`, parallelism)
	}
	p := compose(t, "replicas", webFile("one", `"18094-18096:80"`, deploy(1)))
	p.up()
	a := ask(t, "http://127.0.0.1:18094/", "http://127.0.0.1:18095/", "http://127.0.0.1:18096/")
	p.eventually("clients hear one", a.hears("one"))
	p.write("compose.yaml", webFile("two", `"18094-18096:80"`, deploy(1)))
	p.ok("up", "--detach")
	p.eventually("clients hear two", a.hears("two"))
	p.write("compose.yaml", webFile("three", `"18094-18096:80"`, deploy(0)))
	p.ok("up", "--detach")
	p.eventually("clients hear three", a.hears("three"))
	a.stop(t)
	if len(p.ps()) != 3 {
		t.Errorf("left: %+v", p.ps())
	}
}

// TestUpdateStopFirst: two at a time, the third after the delay.
func TestUpdateStopFirst(t *testing.T) {
	const deploy = `
      replicas: 3
      update_config: {order: stop-first, monitor: 100ms, parallelism: 2, delay: 1s}
`
	p := compose(t, "stopfirst", webFile("one", `"80"`, deploy))
	p.up()
	p.write("compose.yaml", strings.ReplaceAll(webFile("two", `"80"`, deploy), "stop_grace_period: 1s", "stop_grace_period: 0s"))
	begin := time.Now()
	r := p.run("up", "--detach")
	if took := time.Since(begin); r.code != 0 || took < time.Second {
		t.Errorf("it took %s: %s", took, r)
	}
	at := func(what string) int {
		t.Helper()
		i := strings.Index(r.stderr, what)
		if i < 0 {
			t.Fatalf("%q was not told: %s", what, r)
		}
		return i
	}
	if third := at("_stopfirst-web-3  Stopping"); third < at("stopfirst-web-1  Healthy") || third < at("stopfirst-web-2  Healthy") || third < at("after 1s") {
		t.Errorf("the third was replaced too early: %s", r)
	}
	if stopped := at("_stopfirst-web-1  Stopped"); stopped < at(" stopfirst-web-1  Created") || stopped > at(" stopfirst-web-1  Starting") {
		t.Errorf("the old one was stopped before the first was there, or after it was started: %s", r)
	}
	equal(t, "the new version", p.sh("web", "cat /www/index.html"), "two")
}

// TestUpdateRollsBack: a version that does not work is taken back, by start-first without a failed request, and up says why.
func TestUpdateRollsBack(t *testing.T) {
	for _, order := range []string{"start-first", "stop-first"} {
		t.Run(order, func(t *testing.T) {
			deploy := `
      update_config: {order: ` + order + `, monitor: 1s, failure_action: rollback}
      rollback_config: {monitor: 100ms}
`
			p := compose(t, "rolledback", webFile("one", `"18097:80"`, deploy))
			p.up()
			before := idsOf(p.ps())
			var a *asking
			if order == "start-first" {
				a = ask(t, "http://127.0.0.1:18097/")
				p.eventually("clients hear one", a.hears("one"))
			}
			p.write("compose.yaml", strings.Replace(webFile("two", `"18097:80"`, deploy), "exec httpd -f -p 80 -h /www", "echo no database; exit 3", 1))
			for range 2 { // the next up tries again
				p.fails(1, []string{"cannot update service web", "rolledback-web-1 exited with code 3", "the service was rolled back", "no database", "compose.yaml:"}, "up", "--detach")
				equal(t, "the containers", idsOf(p.ps()), before)
			}
			code, body, _, err := get("http://127.0.0.1:18097/")
			if err != nil || code != 200 || body != "one\n" {
				t.Errorf("after the rollback: %d, %q, %v", code, body, err)
			}
			if a != nil {
				a.stop(t)
			}
			if r := p.run("drift"); r.code != 0 {
				t.Errorf("after the rollback: %s", r)
			}
			p.write("compose.yaml", webFile("three", `"18097:80"`, deploy))
			p.ok("up", "--detach")
			code, body, _, err = get("http://127.0.0.1:18097/")
			if err != nil || code != 200 || body != "three\n" {
				t.Errorf("a good version: %d, %q, %v", code, body, err)
			}
		})
	}
}

// TestUpdateRefusesStartFirst where two cannot be there at once, at the line.
func TestUpdateRefusesStartFirst(t *testing.T) {
	p := compose(t, "refused", `
services:
  web:
    image: busybox
    networks: {default: {ipv4_address: 10.77.88.9}}
    deploy:
      update_config:
        order: start-first
networks:
  default: {ipam: {config: [{subnet: 10.77.88.0/24}]}}
`)
	p.fails(1, []string{"compose.yaml:8", "ipv4_address 10.77.88.9", "set order: stop-first"}, "up", "--detach")
}
