package sysctl

import (
	"os"
	"path/filepath"
	"strings"
)

// Routing between links, on and off for the whole host.
const (
	Forward4 = "net/ipv4/ip_forward"
	Forward6 = "net/ipv6/conf/all/forwarding"
)

// Forward lets the host route between the networks' links, which own names, and its others.
func (h *Host) Forward(v4, v6 bool, own func(link string) bool) error {
	if v4 {
		if err := h.need(Forward4, "1"); err != nil {
			return err
		}
	}
	if !v6 {
		return nil
	}
	// A host that forwards ignores router advertisements unless accept_ra is 2, and would lose its own default
	// route (ip-sysctl.rst, accept_ra).
	confs, err := filepath.Glob(Root + "net/ipv6/conf/*/accept_ra")
	if err != nil {
		return err
	}
	for _, c := range confs {
		name := strings.TrimPrefix(c, Root)
		link := filepath.Base(filepath.Dir(c))
		if link == "all" || link == "default" || link == "lo" || own(link) {
			continue
		}
		if b, err := os.ReadFile(c); err == nil && strings.TrimSpace(string(b)) == "1" {
			if err := h.need(name, "2"); err != nil {
				return err
			}
		}
	}
	return h.need(Forward6, "1")
}
