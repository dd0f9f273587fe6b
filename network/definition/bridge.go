package definition

import (
	"net/netip"
	"strconv"
)

// OptBridge is the option that names the bridge. Docker's name, as all of them.
const OptBridge = "com.docker.network.bridge.name"

const (
	optMTU        = "com.docker.network.driver.mtu"
	optMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optHostIP     = "com.docker.network.bridge.host_binding_ipv4"
	optICC        = "com.docker.network.bridge.enable_icc"
	optDefault    = "com.docker.network.bridge.default_bridge"
)

const defaultMTU = 1500

// bridge: a bridge of the host, which is the gateway. What passes it goes by the firewall.
type bridge struct{}

// checkEndpoint: a veth takes all that an endpoint can say.
func (bridge) checkEndpoint(EndpointConfig) error { return nil }

func (bridge) wantsGateway(Config) bool { return true }
func (bridge) outward(c Config) bool    { return !c.Internal }
func (bridge) publishes(c Config) bool  { return !c.Internal }
func (bridge) onHost() bool             { return true }

func (bridge) options() []option {
	return []option{
		{optMTU, func(v string) error {
			if n, err := strconv.Atoi(v); err != nil || n < 576 || n > 65535 {
				return expected("a number of bytes from 576 to 65535")
			}
			return nil
		}},
		{OptBridge, linkName},
		{optMasquerade, boolean},
		{optHostIP, ipv4},
		{optICC, only(true, "containers of one network reach each other; use a network for each group of containers")},
		{optDefault, only(false, "no network is shared by all projects")},
		// Docker's others are refused, but for what they are without being written: who asks for less reach must not get more.
		{"com.docker.network.bridge.gateway_mode_ipv4", onlyWord("nat")},
		{"com.docker.network.bridge.gateway_mode_ipv6", onlyWord("nat")},
		{"com.docker.network.bridge.inhibit_ipv4", only(false, "the bridge is the gateway and has its address")},
		{"com.docker.network.bridge.trusted_host_interfaces", onlyWord("")},
		{"com.docker.network.container_iface_prefix", onlyWord("eth")},
		{"com.docker.network.host_ipv4", onlyWord("")},
		{"com.docker.network.host_ipv6", onlyWord("")},
	}
}

// BridgeName is the name that c wants its bridge to have; "" = any.
func (c Config) BridgeName() string { return c.DriverOpts[OptBridge] }

// MTU is that of c's links, in bytes.
func (c Config) MTU() int {
	if n, err := strconv.Atoi(c.DriverOpts[optMTU]); err == nil {
		return n
	}
	return defaultMTU
}

// Masquerade says whether containers are seen by the host's address outside.
func (c Config) Masquerade() bool {
	on, err := strconv.ParseBool(c.DriverOpts[optMasquerade])
	return on || err != nil
}

// BindingAddr is the host's address that published ports go to unless they say otherwise; zero = all.
func (c Config) BindingAddr() netip.Addr {
	a, err := netip.ParseAddr(c.DriverOpts[optHostIP])
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
