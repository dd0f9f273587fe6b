package daemon

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/stackrun/stack/api/server"
	"github.com/stackrun/stack/cmd/stack/daemon/options"
)

// remoteConfig checks what r says and reads the files; nil without hosts.
func remoteConfig(r options.Remote) (*tls.Config, error) {
	if err := r.Check(); err != nil || len(r.Hosts) == 0 {
		return nil, err
	}
	return server.RemoteConfig(server.RemoteFiles{CA: r.CA, Cert: r.Cert, Key: r.Key})
}

// listenRemote opens what r says. Precondition: remoteConfig has found nothing wrong.
func listenRemote(r options.Remote) (all []net.Listener, err error) {
	for i, address := range r.Addresses() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("cannot listen on %s: %w", r.Hosts[i], err)
		}
		all = append(all, l)
	}
	return all, nil
}
