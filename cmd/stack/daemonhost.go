package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/pflag"

	"github.com/stackrun/stack/api/server"
)

// remoteOptions are the flags of `stack daemon` about clients of other hosts, with dockerd's names.
type remoteOptions struct {
	hosts  []string // tcp://ADDRESS:PORT
	verify bool
	files  server.RemoteFiles
}

func (o *remoteOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVarP(&o.hosts, "host", "H", nil, "Serve the Docker Engine API at tcp://ADDRESS:PORT too, with --tlsverify")
	f.BoolVar(&o.verify, "tlsverify", false, "Let in who has a certificate that --tlscacert has signed")
	f.StringVar(&o.files.CA, "tlscacert", "", "Certificates of those who sign clients' certificates, PEM")
	f.StringVar(&o.files.Cert, "tlscert", "", "Certificate of this daemon, PEM")
	f.StringVar(&o.files.Key, "tlskey", "", "Its key, PEM")
}

// config checks what o says and reads the files; nil without hosts. Who can connect can do what root can, so nothing is served that does not ask for certificates.
func (o *remoteOptions) config() (*tls.Config, error) {
	given := o.verify || o.files != server.RemoteFiles{}
	switch {
	case len(o.hosts) == 0 && !given:
		return nil, nil
	case len(o.hosts) == 0:
		return nil, usageError("--tlsverify, --tlscacert, --tlscert and --tlskey are for --host tcp://ADDRESS:PORT, which is not given")
	case !o.verify || o.files.CA == "" || o.files.Cert == "" || o.files.Key == "":
		return nil, usageError("--host needs --tlsverify, --tlscacert, --tlscert and --tlskey: without them everybody who can reach the port could do what root can")
	}
	for _, host := range o.hosts {
		address, ok := strings.CutPrefix(host, scheme)
		if _, _, err := net.SplitHostPort(address); !ok || err != nil {
			return nil, usageError("invalid --host %q: expected tcp://ADDRESS:PORT; the unix socket is stack.sock below --run-root", host)
		}
	}
	return server.RemoteConfig(o.files)
}

// scheme is what a host begins with.
const scheme = "tcp://"

// listen opens what o says. Precondition: config has found nothing wrong.
func (o *remoteOptions) listen() (all []net.Listener, err error) {
	for _, host := range o.hosts {
		l, err := net.Listen("tcp", strings.TrimPrefix(host, scheme))
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("cannot listen on %s: %w", host, err)
		}
		all = append(all, l)
	}
	return all, nil
}
