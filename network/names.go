package network

import "strings"

// isOurs says whether a link carries this instance's name.
func (d *Driver) isOurs(link string) bool {
	return strings.HasPrefix(link, "sb"+d.instance) || strings.HasPrefix(link, "sv"+d.instance) || strings.HasPrefix(link, "sd"+d.instance)
}
