package main

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/api/server"
)

// TestRemoteOptions: nothing is served by TCP that asks for no certificate, and what is left out is named.
func TestRemoteOptions(t *testing.T) {
	files := server.RemoteFiles{CA: "/none/ca.pem", Cert: "/none/cert.pem", Key: "/none/key.pem"}
	for _, c := range []struct {
		o    remoteOptions
		want string
	}{
		{remoteOptions{}, ""},
		{remoteOptions{hosts: []string{"tcp://127.0.0.1:2376"}}, "--tlsverify"},
		{remoteOptions{hosts: []string{"tcp://127.0.0.1:2376"}, files: files}, "--tlsverify"},
		{remoteOptions{hosts: []string{"tcp://127.0.0.1:2376"}, verify: true}, "--tlscacert"},
		{remoteOptions{verify: true, files: files}, "--host"},
		{remoteOptions{hosts: []string{"unix:///x"}, verify: true, files: files}, "unix:///x"},
		{remoteOptions{hosts: []string{"tcp://127.0.0.1"}, verify: true, files: files}, "tcp://ADDRESS:PORT"},
		{remoteOptions{hosts: []string{"tcp://127.0.0.1:2376"}, verify: true, files: files}, "/none/ca.pem"},
	} {
		config, err := c.o.config()
		if config != nil || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}
