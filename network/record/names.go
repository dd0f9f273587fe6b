package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names gives links of the host names by which an instance knows them for its own: it is the instance's. IFNAMSIZ leaves 15 characters.
type Names string

// BridgePrefix is what the names of all bridges begin with.
func (n Names) BridgePrefix() string { return "sb" + string(n) + "-" }

// Bridge is the name of the i-th bridge.
func (n Names) Bridge(i int) string { return fmt.Sprintf("%s%d", n.BridgePrefix(), i) }

// Veth is the host's end of the i-th endpoint.
func (n Names) Veth(i uint64) string { return fmt.Sprintf("sv%s%x", string(n), i) }

// VethNumber is which Veth link is; not ok when it is none.
func (n Names) VethNumber(link string) (uint64, bool) {
	i, err := strconv.ParseUint(strings.TrimPrefix(link, "sv"+string(n)), 16, 64)
	return i, err == nil
}

// Dummy is the parent of the i-th network without one.
func (n Names) Dummy(i int) string { return fmt.Sprintf("sd%s-%d", string(n), i) }

// Probe is of a link that is never made.
func (n Names) Probe() string { return "probe" + string(n) }

// Ours says whether link has one of these names.
func (n Names) Ours(link string) bool {
	return strings.HasPrefix(link, "sb"+string(n)) || strings.HasPrefix(link, "sv"+string(n)) || strings.HasPrefix(link, "sd"+string(n))
}

// Free is the first of names that is the link of none of networks.
func Free(networks []Network, name func(i int) string) string {
	for i := 0; ; i++ {
		if link := name(i); !slices.ContainsFunc(networks, func(n Network) bool { return n.Link == link }) {
			return link
		}
	}
}
