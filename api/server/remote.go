package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// RemoteFiles name the PEM files of a TCP listener, as dockerd's --tlscacert, --tlscert and --tlskey do.
type RemoteFiles struct {
	CA   string // of the clients' certificates
	Cert string // this daemon's
	Key  string
}

// RemoteConfig reads f into a configuration that lets in nobody without a certificate that the CA has signed. Errors name the file.
func RemoteConfig(f RemoteFiles) (*tls.Config, error) {
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot read the certificate authority: %s has no certificate in PEM form", f.CA)
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the daemon's certificate %s and key %s: %w", f.Cert, f.Key, err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{"http/1.1"}, // connections are taken over, which HTTP/2 has not
	}, nil
}

// ServeRemote answers the Docker Engine API, and nothing else, on l, to clients with a certificate that c asks for: who has one can do what root can. It returns as Serve does.
func (s *Server) ServeRemote(l net.Listener, c *tls.Config) error {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.base.Err() != nil {
			panic(http.ErrAbortHandler)
		}
		s.opt.Docker.ServeHTTP(w, r)
	})
	remote := &http.Server{
		Handler: h, BaseContext: s.http.BaseContext, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: s.http.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	s.http.RegisterOnShutdown(func() { remote.Close() }) // requests have been cancelled by then
	err := remote.Serve(tls.NewListener(&open{Listener: l, server: s}, c))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// open hands on every connection and counts it: who may go on is for TLS to say.
type open struct {
	net.Listener
	server *Server
}

func (o *open) Accept() (net.Conn, error) {
	for {
		c, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if o.server.opened(c) {
			return &counted{Conn: c, server: o.server}, nil
		}
		c.Close()
	}
}
