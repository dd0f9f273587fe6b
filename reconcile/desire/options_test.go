package desire

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/spec"
)

func TestOptionsOfAnEndpoint(t *testing.T) {
	s := &spec.Service{Name: "web", Image: "app:1", Replicas: 1, Networks: map[string]*spec.Endpoint{"default": {DriverOpts: map[string]string{
		"com.docker.network.endpoint.ifname": "wan0", "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.rp_filter=2", "x.y": "z",
	}}}}
	d, refused := Of(&spec.Project{Name: "shop", Services: map[string]*spec.Service{"web": s}, Networks: map[string]*spec.Network{"default": {Key: "default", Name: "shop_default"}}})
	if len(refused) > 0 {
		t.Errorf("%v", refused)
	}
	if ep := d.Services["web"].Spec.Networks["shop_default"]; ep.Interface != "wan0" || ep.Sysctls != "net.ipv4.conf.IFNAME.rp_filter=2" {
		t.Errorf("%+v", ep)
	}
	diags := UnknownOptions(s, "services.web")
	if len(diags) != 1 || diags.HasErrors() || !strings.Contains(diags[0].Detail, "x.y") || diags[0].Address != "services.web.networks.default.driver_opts.x.y" {
		t.Errorf("%v", diags)
	}
}
