package resolver

import (
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
)

// Listen opens the sockets of a container's server in the namespace that the calling thread is in, and lets port 53 lead to them; fresh if it never had any.
func Listen(fresh bool) (*dns.Sockets, error) {
	socks, err := dns.Listen()
	if err != nil {
		return nil, err
	}
	if err := nft.RedirectDNS(dns.Addr, socks.Port(), socks.Port(), fresh); err != nil {
		socks.Close()
		return nil, err
	}
	return socks, nil
}

// Serve answers the container of b on socks. lost is called when other hands have taken a socket from it.
func (r *Resolver) Serve(b record.Sandbox, socks *dns.Sockets, lost func()) *dns.Server {
	return dns.Serve(socks, r.view(b), lost)
}

// Turn lets s answer by the networks that b is on now.
func (r *Resolver) Turn(s *dns.Server, b record.Sandbox) { s.See(r.view(b)) }

// Problem says why s is not asked, "" = it is. The calling thread is in its namespace.
func Problem(s *dns.Server) (string, error) {
	if s.Broken() {
		return "its DNS server has lost its socket", nil
	}
	ok, err := nft.RedirectsDNS(dns.Addr, s.Port(), s.Port())
	if err == nil && !ok {
		return "port 53 does not lead to its DNS server", nil
	}
	return "", err
}

// Redirect lets port 53 lead to s, if it does not. The calling thread is in its namespace.
func Redirect(s *dns.Server) error {
	if ok, err := nft.RedirectsDNS(dns.Addr, s.Port(), s.Port()); ok || err != nil {
		return err
	}
	return nft.RedirectDNS(dns.Addr, s.Port(), s.Port(), false)
}
