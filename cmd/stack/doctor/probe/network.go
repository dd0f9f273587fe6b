package probe

import (
	"errors"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/internal/thread"
)

// checkNetwork makes a bridge, a veth pair and a masquerade rule in a network namespace that ends with
// the thread that is in it.
func checkNetwork() (checks []doctor.Check) {
	err := thread.Apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		checks = []doctor.Check{tryBridge(), tryVeth(), tryNft()}
		return nil
	})
	if err != nil {
		return []doctor.Check{warning("network", "ask again as root", "no namespace to try it in: %v", err)}
	}
	return checks
}

// unlessRefused is fix, which is for what the kernel does not have, or what to do when the kernel says that we may not.
func unlessRefused(err error, fix string) string {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return "give this container CAP_NET_ADMIN, or run stack on the host"
	}
	return fix
}

func tryBridge() doctor.Check {
	err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "probe0"}})
	if err != nil {
		return missing("bridge", unlessRefused(err, "run `modprobe bridge`, or boot a kernel with CONFIG_BRIDGE"), "%v", err)
	}
	return ok("bridge", "")
}

func tryVeth() doctor.Check {
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "probe1"}, PeerName: "probe2"})
	if err != nil {
		return missing("veth", unlessRefused(err, "run `modprobe veth`, or boot a kernel with CONFIG_VETH"), "%v", err)
	}
	return ok("veth", "")
}

func tryNft() doctor.Check {
	const fix = "run `modprobe -a nf_tables nft_chain_nat nft_masq nft_ct`, or boot a kernel with CONFIG_NF_TABLES and CONFIG_NFT_NAT"
	c, err := nftables.New()
	if err != nil {
		return missing("nftables", unlessRefused(err, fix), "%v", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "probe"})
	chain := c.AddChain(&nftables.Chain{
		Name: "out", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Masq{}}})
	if err := c.Flush(); err != nil {
		return missing("nftables", unlessRefused(err, fix), "no masquerade rule: %v", err)
	}
	return ok("nftables", "nat, masquerade")
}

// checkForwarding only tells: the first network turns it on.
func checkForwarding() doctor.Check {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		return warning("ip_forward", "mount /proc writable", "%v", err)
	}
	if strings.TrimSpace(string(text)) != "1" {
		if f, err := os.OpenFile("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY, 0); err != nil {
			return warning("ip_forward", "run `sysctl -w net.ipv4.ip_forward=1`", "off, and it cannot be turned on from here: %v", err)
		} else {
			f.Close()
		}
		return ok("ip_forward", "off: the first network turns it on")
	}
	return ok("ip_forward", "on")
}
