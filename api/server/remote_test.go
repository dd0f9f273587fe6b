package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/api/server"
)

// authority signs certificates of a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// make writes NAME.pem and NAME-key.pem, signed by a, or by itself while a has no certificate.
func (a *authority) make(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// client is one that trusts a and shows the certificate name of by; nil = none.
func (a *authority) client(by *authority, name string) *http.Client {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool}
	if by != nil {
		cert, err := tls.LoadX509KeyPair(by.file(name+".pem"), by.file(name+"-key.pem"))
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
}

// TestRemote: by TCP there is the Docker Engine API for who has a certificate, and nothing for others.
func TestRemote(t *testing.T) {
	ours, others := newAuthority(t, "ca"), newAuthority(t, "ca")
	ours.make("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	ours.make("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	others.make("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	config, err := server.RemoteConfig(server.RemoteFiles{CA: ours.file("ca.pem"), Cert: ours.file("server.pem"), Key: ours.file("server-key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	docker := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "docker "+r.URL.Path) })
	s := server.New(&apitest.Engine{}, server.Options{Version: api.Version{Version: "1"}, Group: -1, Docker: docker})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServeRemote(l, config) }()
	base := "https://" + l.Addr().String()
	get := func(c *http.Client, path string) (string, error) {
		answer, err := c.Get(base + path)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return string(text), err
	}
	mine := ours.client(ours, "client")
	for path, want := range map[string]string{"/_ping": "docker /_ping", "/v1/version": "docker /v1/version"} { // no API of our own
		if got, err := get(mine, path); err != nil || got != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for who, c := range map[string]*http.Client{"nobody's": ours.client(nil, ""), "another authority's": ours.client(others, "client")} {
		if got, err := get(c, "/_ping"); err == nil {
			t.Errorf("with %s certificate: %q", who, got)
		}
	}
	if answer, err := http.Get("http://" + l.Addr().String() + "/_ping"); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %s", answer.Status)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := get(mine, "/_ping"); err == nil {
		t.Error("it answers after its end")
	}

	for what, f := range map[string]server.RemoteFiles{
		"none":    {CA: ours.file("none.pem"), Cert: ours.file("server.pem"), Key: ours.file("server-key.pem")},
		"-key":    {CA: ours.file("server-key.pem"), Cert: ours.file("server.pem"), Key: ours.file("server-key.pem")},
		"client-": {CA: ours.file("ca.pem"), Cert: ours.file("server.pem"), Key: ours.file("client-key.pem")},
	} {
		if _, err := server.RemoteConfig(f); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
