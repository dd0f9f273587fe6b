package network

import (
	"os"
	"path/filepath"
	"strings"
)

// Routing between links, on and off for the whole host.
const (
	forward4 = "net/ipv4/ip_forward"
	forward6 = "net/ipv6/conf/all/forwarding"
)

// enableForwarding lets the host route between the bridges and its other links.
func (d *Driver) enableForwarding(v4, v6 bool) error {
	if v4 {
		if err := d.sysctls.need(forward4, "1"); err != nil {
			return err
		}
	}
	if !v6 {
		return nil
	}
	// A host that forwards ignores router advertisements unless accept_ra is 2, and would lose its own default
	// route (ip-sysctl.rst, accept_ra).
	confs, err := filepath.Glob(sysctlRoot + "net/ipv6/conf/*/accept_ra")
	if err != nil {
		return err
	}
	for _, c := range confs {
		name := strings.TrimPrefix(c, sysctlRoot)
		link := filepath.Base(filepath.Dir(c))
		if link == "all" || link == "default" || link == "lo" || d.isOurs(link) {
			continue
		}
		if b, err := os.ReadFile(c); err == nil && strings.TrimSpace(string(b)) == "1" {
			if err := d.sysctls.need(name, "2"); err != nil {
				return err
			}
		}
	}
	return d.sysctls.need(forward6, "1")
}
