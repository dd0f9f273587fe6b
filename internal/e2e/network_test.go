package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/netns"
)

// httpd serves the container's host name on port 80.
const httpd = `["sh", "-c", "mkdir -p /www && hostname >/www/index.html && exec httpd -f -p 80 -h /www"]`

func TestPorts(t *testing.T) {
	p := compose(t, "ports", `
services:
  web:
    image: busybox
    hostname: web
    command: `+httpd+`
    ports:
      - "127.0.0.1:18082:80"
      - "18083-18084:80-81"
      - "80"
  udp:
    image: python:3.11
    command:
      - python
      - -c
      - |
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("", 5000))
        while True:
            data, peer = s.recvfrom(2048)
            s.sendto(data, peer)
    ports: ["127.0.0.1:15000:5000/udp"]
`)
	p.up()
	equal(t, "port", p.ok("port", "web", "80"), "127.0.0.1:18082\n")
	var anyFree int
	for _, pub := range p.one("ports-web-1").Publishers {
		if pub.TargetPort == 80 && pub.PublishedPort != 18082 && pub.PublishedPort != 18083 {
			anyFree = pub.PublishedPort
		}
	}
	if anyFree == 0 {
		t.Errorf("no free port was chosen: %+v", p.one("ports-web-1").Publishers)
	}
	urls := []string{"http://127.0.0.1:18082/", "http://127.0.0.1:18083/", "http://[::1]:18083/", fmt.Sprintf("http://127.0.0.1:%d/", anyFree)}
	for _, url := range urls {
		p.eventually(url+" answers", func() bool {
			code, body, _, err := get(url)
			return err == nil && code == 200 && body == "web\n"
		})
	}
	p.eventually("UDP comes back", func() bool {
		c, err := net.Dial("udp", "127.0.0.1:15000")
		if err != nil {
			return false
		}
		defer c.Close()
		c.Write([]byte("ping"))
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		buf := make([]byte, 16)
		n, _ := c.Read(buf)
		return string(buf[:n]) == "ping"
	})
	p.ok("stop", "--timeout", "0", "web")
	if _, _, _, err := get(urls[0]); err == nil {
		t.Error("a stopped service's port answers")
	}
	l, err := net.Listen("tcp", "127.0.0.1:18082")
	if err != nil {
		t.Errorf("a stopped service's port is still taken: %v", err)
	} else {
		l.Close()
	}
}

// TestAPortChangesHands: who gets a port of a container that the same up takes away, by a smaller scale here, waits until that has ended.
func TestAPortChangesHands(t *testing.T) {
	file := `
services:
  pool:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 1s
    scale: %d
    ports: ["127.0.0.1:18085-18086:80"]
  heir:
    image: busybox
    hostname: heir
    command: ` + httpd + `
    stop_grace_period: 100ms
    scale: %d
    ports: ["127.0.0.1:%d:80"]
`
	p := compose(t, "hands", fmt.Sprintf(file, 3, 0, 18085))
	if r := p.run("up", "--detach"); r.code == 0 || !strings.Contains(r.stderr, "compose.yaml:8:13") || !strings.Contains(r.stderr, "3 replicas, which cannot all take one of host ports 18085-18086/tcp") {
		t.Errorf("three containers on two ports: %s", r)
	}
	p.write("compose.yaml", fmt.Sprintf(file, 1, 0, 18085))
	if r := p.run("up", "--detach", "--scale", "pool=3"); r.code == 0 || !strings.Contains(r.stderr, "service pool has 3 containers and publishes 18085-18086") {
		t.Errorf("three containers on two ports, by --scale: %s", r)
	}
	p.write("compose.yaml", fmt.Sprintf(file, 2, 0, 18085))
	p.up()
	freed := p.one("hands-pool-2").Publishers[0].PublishedPort
	p.write("compose.yaml", fmt.Sprintf(file, 1, 1, freed))
	p.up()
	p.serves(fmt.Sprint(freed))
}

// TestSubnetsThatCannotBe: what the host, or nobody, can have as a subnet is told at its place before anything is stopped for it.
func TestSubnetsThatCannotBe(t *testing.T) {
	file := `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
networks:
  default:
    ipam:
      config:
        - subnet: %s
`
	p := compose(t, "subnets", fmt.Sprintf(file, "10.79.1.0/24"))
	p.up()
	before := p.runs("app")
	for _, tt := range []struct{ subnet, place, words string }{
		{"127.9.0.0/24", "compose.yaml:11:19", "overlaps 127.0.0.0/8, which this host is on"},
		{"10.79.1.0/31", "compose.yaml:11:19", "it has no room for a gateway and a container"},
		{"224.7.0.0/24", "compose.yaml:11:19", "those of groups"},
		{"10.79.1.0/24\n        - subnet: 10.79.1.128/25", "compose.yaml:12:19", "overlaps 10.79.1.0/24 of the same network"},
	} {
		p.write("compose.yaml", fmt.Sprintf(file, tt.subnet))
		if r := p.run("up", "--detach"); r.code == 0 || !strings.Contains(r.stderr, tt.place) || !strings.Contains(r.stderr, tt.words) {
			t.Errorf("%s: %s", tt.subnet, r)
		}
		equal(t, "the run of app", p.runs("app"), before)
	}
}

// TestAddressPoolsRunOut: who has the subnets is named.
func TestAddressPoolsRunOut(t *testing.T) {
	h := ownHost(t)
	h.configure(t, "address-pools: [{base: 10.202.0.0/25, size: 26}]")
	h.startDaemon(t)
	down := (*project).takeDownWholly // of the first, which ends last
	up := func(name string) result {
		p := &project{t: t, host: h, name: name, dir: filepath.Join(t.TempDir(), name)}
		p.write("compose.yaml", "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n    stop_grace_period: 100ms\n")
		end := down
		down = (*project).takeDown
		t.Cleanup(func() { end(p) })
		return p.run("up", "--detach")
	}
	for _, name := range []string{"pools1", "pools2"} {
		if r := up(name); r.code != 0 {
			t.Fatal(r)
		}
	}
	if r := up("pools3"); r.code == 0 || !strings.Contains(r.stderr, `error: cannot create network "pools3_default": every subnet of the address pools is taken: 10.202.0.0/25 in /26 by network pools`) ||
		!strings.Contains(r.stderr, "network pools1_default") || !strings.Contains(r.stderr, "network pools2_default") {
		t.Error(r)
	}
}

func TestNamesAndAddresses(t *testing.T) {
	p := compose(t, "names", `
services:
  web:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    scale: 3
    hostname: member
    networks:
      default:
      back: {aliases: [www, api.internal]}
  fixed:
    image: busybox
    command: [sleep, infinity]
    networks:
      back: {ipv4_address: 10.77.1.50, ipv6_address: "fd77::50"}
  client:
    image: busybox
    command: [sleep, infinity]
    networks: [back]
    extra_hosts: ["db.example:10.0.0.9", "gw:host-gateway"]
  searcher:
    image: busybox
    command: [sleep, infinity]
    dns_search: [example.test]
    dns_opt: ["timeout:2"]
  other:
    image: busybox
    command: [sleep, infinity]
networks:
  back:
    internal: true
    enable_ipv6: true
    ipam:
      config:
        - subnet: 10.77.1.0/24
        - subnet: fd77::/64
`)
	p.up()
	addresses := func(name string) string {
		return p.sh("client", "nslookup -type=a "+name+" | awk '/^Name:/{n=1} n && /^Address/{print $NF}' | sort")
	}
	for _, name := range []string{"web", "www", "api.internal", "member"} {
		if got := len(strings.Fields(addresses(name))); got != 3 {
			t.Errorf("%s has %d addresses, want 3: %s", name, got, addresses(name))
		}
	}
	equal(t, "fixed", addresses("fixed"), "10.77.1.50")
	equal(t, "a container's name", fmt.Sprint(len(strings.Fields(addresses("names-web-2")))), "1")
	contains(t, "AAAA", p.sh("client", "nslookup -type=aaaa fixed"), "fd77::50")
	for _, line := range []string{
		"ping -c1 -W60 fixed", "ping -c1 -W60 10.77.1.50", "ping -6 -c1 -W60 fd77::50", "ping -c1 -W60 names-web-3",
	} {
		if r := p.run("exec", "-T", "client", "sh", "-c", line); r.code != 0 {
			t.Errorf("%s: %s", line, r)
		}
	}
	contains(t, "extra_hosts", p.sh("client", "cat /etc/hosts"), "10.0.0.9\tdb.example", "\tgw")
	contains(t, "resolv.conf", p.sh("searcher", "cat /etc/resolv.conf"), "nameserver 127.0.0.11", "search example.test", "timeout:2")
	for _, line := range []string{"nslookup -type=a other", "ping -c1 -W1 other"} {
		if r := p.run("exec", "-T", "client", "sh", "-c", line); r.code == 0 {
			t.Errorf("%s reaches a service on another network: %s", line, r)
		}
	}
	equal(t, "no default route on an internal network", p.sh("client", "ip route | grep ^default || true"), "")

	// Another project's names and addresses are out of reach.
	q := compose(t, "stranger", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
`)
	q.up()
	for _, line := range []string{"nslookup -type=a web", "ping -c1 -W1 10.77.1.50"} {
		if r := q.run("exec", "-T", "app", "sh", "-c", line); r.code == 0 {
			t.Errorf("another project: %s succeeded: %s", line, r)
		}
	}
}

// TestResolver: the C library's resolver, which most programs use, follows search domains, and gets both families.
func TestResolver(t *testing.T) {
	p := compose(t, "resolver", `
services:
  server:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    networks:
      lan: {aliases: [api.corp.test], ipv4_address: 10.78.1.50, ipv6_address: "fd78::50"}
  client:
    image: python:3.11
    command: [sleep, infinity]
    stop_grace_period: 0s
    dns_search: [corp.test]
    networks: [lan]
networks:
  lan:
    enable_ipv6: true
    ipam:
      config:
        - subnet: 10.78.1.0/24
        - subnet: fd78::/64
`)
	p.up()
	for _, name := range []string{"server", "resolver-server-1", "api", "api.corp.test"} {
		equal(t, "IPv4 of "+name, p.sh("client", "getent ahostsv4 "+name+" | awk '{print $1}' | sort -u"), "10.78.1.50")
		equal(t, "IPv6 of "+name, p.sh("client", "getent ahostsv6 "+name+" | awk '{print $1}' | sort -u"), "fd78::50")
	}
	contains(t, "the name of an address", p.sh("client", "python3 -c 'import socket; print(socket.gethostbyaddr(\"10.78.1.50\")[0])'"), "resolver-server-1")
	if r := p.run("exec", "-T", "client", "getent", "hosts", "nosuch"); r.code != 2 { // getent(1): the key could not be found
		t.Errorf("a name that is not there: %s", r)
	}
}

// TestFixedAddressIsNobodyElses: a container without a fixed address never gets that of another one, though it starts first, and though the
// addresses that were given back rest: each start goes on to the next.
func TestFixedAddressIsNobodyElses(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	p := h.bare(t, "fixed", `
services:
  fixed:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: [any]
    networks: {lan: {ipv4_address: 10.78.2.2}}
  later:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: [fixed]
    networks: {lan: {ipv4_address: 10.78.2.5}}
  any:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    networks: [lan]
networks:
  lan:
    ipam:
      config:
        - subnet: 10.78.2.0/29
`)
	p.up()
	for i := range 4 {
		if i == 2 {
			h.killDaemon(t) // and what it had in memory
			h.startDaemon(t)
		}
		p.ok("stop")
		p.ok("start")
		for service, want := range map[string]string{"fixed": "10.78.2.2", "later": "10.78.2.5"} {
			contains(t, service, p.sh(service, "ip -4 addr show eth0"), "inet "+want+"/29")
		}
	}
}

func TestNetworkModes(t *testing.T) {
	p := compose(t, "modes", `
services:
  none:
    image: busybox
    command: [sleep, infinity]
    network_mode: none
  host:
    image: busybox
    command: [sleep, infinity]
    network_mode: host
  owner:
    image: busybox
    hostname: owner
    domainname: corp.test
    extra_hosts: ["printer:192.0.2.7"]
    command: `+httpd+`
  guest:
    image: busybox
    command: [sleep, infinity]
    network_mode: service:owner
  named:
    image: busybox
    command: [sleep, infinity]
    network_mode: service:guest
    hostname: named
  by-name:
    image: busybox
    command: [sleep, infinity]
    network_mode: modes-net
networks:
  default:
    name: modes-net
`)
	p.up()
	p.reaches("by-name", "owner", "owner\n")
	equal(t, "none", p.sh("none", "ls /sys/class/net"), "lo")
	contains(t, "host", p.sh("host", "cat /proc/net/dev"), "sb") // the bridges
	p.reaches("guest", "127.0.0.1", "owner\n")
	equal(t, "one namespace", p.sh("guest", "readlink /proc/1/ns/net"), p.sh("owner", "readlink /proc/1/ns/net"))
	equal(t, "the names of guest", p.sh("guest", "hostname; echo $HOSTNAME; cat /etc/hostname"), "owner\nowner\nowner")
	equal(t, "the hosts file of guest", p.sh("guest", "cat /etc/hosts"), p.sh("owner", "cat /etc/hosts"))
	contains(t, "the hosts file of guest", p.sh("guest", "cat /etc/hosts"), "192.0.2.7\tprinter", "\towner.corp.test owner")
	equal(t, "a name that the file gives", p.sh("named", "hostname; echo $HOSTNAME"), "named\nnamed")
	p.ok("restart", "--timeout", "0", "owner")
	p.reaches("guest", "127.0.0.1", "owner\n")
}

// TestNetworkOfAContainer: network_mode, pid and ipc can name a container, of the file or of another project. The file's own comes first
// without depends_on, and who lives in its network is restarted with it.
func TestNetworkOfAContainer(t *testing.T) {
	other := compose(t, "outside", `
services:
  guest:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    network_mode: container:the-vpn
    pid: container:the-vpn
    ipc: container:the-vpn
`)
	p := compose(t, "tunnel", `
services:
  zz-vpn:
    image: busybox
    container_name: the-vpn
    ipc: shareable
    command: `+httpd+`
    stop_grace_period: 100ms
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    network_mode: container:the-vpn
`)
	p.up()
	p.reaches("app", "127.0.0.1", "")
	other.up()
	other.reaches("guest", "127.0.0.1", "")
	for _, ns := range []string{"net", "pid", "ipc"} {
		equal(t, "the "+ns+" namespace of guest", other.sh("guest", "readlink /proc/self/ns/"+ns), p.sh("zz-vpn", "readlink /proc/self/ns/"+ns))
	}
	p.ok("restart", "--timeout", "0", "zz-vpn")
	p.reaches("app", "127.0.0.1", "")
	other.ok("down")
	p.ok("down")
	contains(t, "a container that is not there", other.run("up", "--detach").stderr, "the-vpn")
}

// TestFurtherAddresses: link_local_ips and the sysctls of an interface, which the specification's example and docker's options write so. A change makes the
// container anew; what other hands take away comes back.
func TestFurtherAddresses(t *testing.T) {
	file := `
services:
  web:
    image: busybox
    hostname: web
    stop_grace_period: 100ms
    command: ` + httpd + `
    networks:
      app:
        link_local_ips: [57.123.22.11, %s]
        driver_opts:
          com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1
          x.y: z
  peer:
    image: busybox
    stop_grace_period: 100ms
    command: [sleep, infinity]
    networks: {app: {link_local_ips: [57.123.22.13, 169.254.8.9]}}
networks: {app: {}}
`
	p := compose(t, "further", fmt.Sprintf(file, "169.254.8.8"))
	r := p.run("up", "-d", "--wait")
	if r.code != 0 || !strings.Contains(r.stderr, "x.y") || !strings.Contains(r.stderr, "compose.yaml:13") {
		t.Fatal(r)
	}
	p.reaches("peer", "57.123.22.11", "web\n")
	p.reaches("peer", "169.254.8.8", "web\n")
	equal(t, "the sysctl", p.sh("web", "cat /proc/sys/net/ipv4/conf/eth0/log_martians"), "1")
	if r := p.run("plan"); r.code != 0 {
		t.Errorf("there is something to do: %s", r)
	}
	before := p.runs("web")
	if err := netns.Do(p.host.run("netns", p.one("further-web-1").ID), func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.AddrDel(l, addressOf("169.254.8.8/16"))
	}); err != nil {
		t.Fatal(err)
	}
	p.reaches("peer", "169.254.8.8", "web\n")
	equal(t, "the run of web", p.runs("web"), before)
	p.write("compose.yaml", fmt.Sprintf(file, "169.254.8.10"))
	if r := p.run("plan"); r.code != 2 || !strings.Contains(r.stdout, "link_local_ips") {
		t.Errorf("plan: %s", r)
	}
	p.up()
	p.reaches("peer", "169.254.8.10", "web\n")
}

func TestFurtherAddressesAreChecked(t *testing.T) {
	p := compose(t, "furtherbad", `
services:
  web: {image: busybox, command: [sleep, infinity], networks: {app: {link_local_ips: [169.254.8]}}}
networks: {app: {}}
`)
	p.fails(1, []string{"compose.yaml:3:87", `"169.254.8" is not an address that an interface can have`}, "up", "-d")
	p.write("compose.yaml", `
services:
  web:
    image: busybox
    command: [sleep, infinity]
    networks: {app: {driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.ip_forward=1}}}
networks: {app: {}}
`)
	p.fails(1, []string{"compose.yaml:6", "net.X.Y.IFNAME.Z=VALUE"}, "up", "-d")
	p.write("compose.yaml", `
services:
  web: {image: busybox, command: [sleep, infinity], scale: 2, networks: {app: {link_local_ips: [169.254.8.8]}}}
networks: {app: {}}
`)
	if r := p.run("up", "-d"); r.code != 0 || !strings.Contains(r.stderr, "compose.yaml:3") || !strings.Contains(r.stderr, "is that of another of its containers too") {
		t.Error(r)
	}
}

// TestResourcesThatNothingUses: --all-resources makes them, of a file without services too, with IPv6 where an option of the driver asks for it.
func TestResourcesThatNothingUses(t *testing.T) {
	p := compose(t, "unused", `
networks:
  app: {driver_opts: {com.docker.network.enable_ipv6: "true"}}
volumes: {data: {}}
`)
	p.fails(1, []string{"it has no services"}, "up", "-d")
	p.ok("--all-resources", "up", "-d")
	contains(t, "volumes", p.ok("volumes", "-q"), "unused_data")
	if r := p.run("--all-resources", "plan"); r.code != 0 || !strings.Contains(r.stdout, "nothing to do") {
		t.Errorf("plan: %s", r)
	}
	found := false
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		found = found || l.Type() == "bridge" && slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.IsPrivate() })
	}
	if !found {
		t.Error("no bridge has an IPv6 address of its network")
	}
	p.ok("down", "--volumes")
}
