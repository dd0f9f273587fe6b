package definition

// The drivers of networks, with docker's names.
const (
	Bridge  = "bridge"
	Macvlan = "macvlan"
	IPvlan  = "ipvlan"
)

// driver is what one decides of a network without looking at the host.
type driver interface {
	// options are those that it knows.
	options() []option
	// checkEndpoint says why no container can be on a network of it as ep says.
	checkEndpoint(ep EndpointConfig) error
	// wantsGateway says whether an address of each subnet of c is a gateway's: the first, if the file names none.
	wantsGateway(c Config) bool
	outward(c Config) bool
	publishes(c Config) bool
	onHost() bool
}

// driver is c's; nil = there is none of that name.
func (c Config) driver() driver {
	switch c.Driver {
	case "", Bridge:
		return bridge{}
	case Macvlan:
		return parent{macvlan{}}
	case IPvlan:
		return parent{ipvlan{}}
	}
	return nil
}

// Supported says whether there is a driver of the name that c has.
func (c Config) Supported() bool { return c.driver() != nil }

// CheckEndpoint says why no container could be on c as ep says.
func (c Config) CheckEndpoint(ep EndpointConfig) error {
	if d := c.driver(); d != nil {
		return d.checkEndpoint(ep)
	}
	return nil // which Check tells
}

// Publishes says whether the host's ports lead to containers by c.
func (c Config) Publishes() bool {
	d := c.driver()
	return d != nil && d.publishes(c)
}

// Outward says whether containers reach the world by c.
func (c Config) Outward() bool {
	d := c.driver()
	return d != nil && d.outward(c)
}

// OnHost says whether the host itself is on the subnets of c, so that nobody else there may use them.
func (c Config) OnHost() bool {
	d := c.driver()
	return d != nil && d.onHost()
}
