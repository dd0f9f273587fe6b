package e2e

import "testing"

// TestOptionsOfDockersDrivers: what files for docker give to its local volumes, bridges and endpoints.
func TestOptionsOfDockersDrivers(t *testing.T) {
	p := compose(t, "opts", `
services:
  app:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["fast:/fast"]
    networks:
      default: {driver_opts: {com.docker.network.endpoint.ifname: lan0}}
volumes:
  fast: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: "size=1m,uid=1000,mode=0710"}}
networks:
  default:
    driver_opts: {com.docker.network.bridge.enable_icc: "true", com.docker.network.bridge.default_bridge: "false"}
`)
	p.up()
	equal(t, "the volume", p.sh("app", "grep ' /fast ' /proc/mounts | cut -d' ' -f3; stat -c '%u %a' /fast; df -k /fast | tail -n 1 | awk '{print $2}'"), "tmpfs\n1000 710\n1024")
	equal(t, "the interface", p.sh("app", "cat /sys/class/net/lan0/operstate"), "up")
	p.write("compose.yaml", `
services:
  app:
    image: busybox
    command: sleep 1000
    networks: {default: {driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}}}
`)
	p.up()
	equal(t, "the sysctl of the interface", p.sh("app", "cat /proc/sys/net/ipv4/conf/eth0/log_martians"), "1")
	p.write("compose.yaml", `
services:
  app:
    image: busybox
    command: sleep 1000
networks:
  default:
    driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: routed}
`)
	p.fails(1, []string{"compose.yaml:8:", "com.docker.network.bridge.gateway_mode_ipv4"}, "up", "-d")
}
