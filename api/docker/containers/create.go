package containers

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/reconcile/standalone"
)

// createBody is the request, with what clients before API 1.44 send besides.
type createBody struct {
	container.CreateRequest
	MacAddress string
}

// without are fields that some clients send with a value and that mean nothing here.
var without = []string{"NetworkingConfig.EndpointsConfig.IPAMConfig"}

func (h *handlers) create(w http.ResponseWriter, r *http.Request) error {
	body := createBody{CreateRequest: container.CreateRequest{Config: &container.Config{}}}
	if err := wire.Decode(w, r, &body, without...); err != nil {
		return err
	}
	want, warnings, err := wanted(&body)
	if err != nil {
		return err
	}
	want.Name, want.Spec.Platform = r.URL.Query().Get("name"), r.URL.Query().Get("platform")
	id, more, err := h.engine.Create(r.Context(), want)
	if errors.Is(err, errdefs.ErrNotFound) && !errors.Is(err, single.ErrNoImage) {
		return wire.WithStatus(http.StatusBadRequest, err) // for a 404 clients pull the image and try again
	}
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, container.CreateResponse{ID: id, Warnings: append(warnings, more...)})
}

// wanted is what body asks for. warnings are not nil.
func wanted(body *createBody) (want single.Want, warnings []string, err error) {
	if body.Config == nil || body.Image == "" {
		return want, nil, invalid("no image was named: Image is empty")
	}
	host := body.HostConfig
	if host == nil {
		host = &container.HostConfig{}
	}
	c := body.Config
	if slices.Equal(c.Shell, []string{"/bin/sh", "-c"}) { // as if it had said nothing
		c.Shell = nil
	}
	if err := refuse("", c); err != nil {
		return want, nil, err
	}
	s := &want.Spec
	s.Image, s.Command, s.Entrypoint = c.Image, c.Cmd, c.Entrypoint
	if len(s.Entrypoint) == 1 && s.Entrypoint[0] == "" { // docker's word for none
		s.Entrypoint = []string{}
	}
	s.Hostname, s.Domainname, s.User, s.WorkingDir = c.Hostname, c.Domainname, c.User, c.WorkingDir
	s.TTY, s.StdinOpen, s.StopSignal = c.Tty, c.OpenStdin, c.StopSignal
	setEnvironment(s, c.Env)
	for port := range c.ExposedPorts {
		s.Expose = append(s.Expose, port.String())
	}
	slices.Sort(s.Expose)
	if c.StopTimeout != nil {
		grace := time.Duration(*c.StopTimeout) * time.Second
		if *c.StopTimeout < 0 { // never
			grace = time.Duration(1<<62 - 1)
		}
		s.StopGrace = &grace
	}
	s.HealthCheck = healthCheck(c.Healthcheck)
	want.Traits = standalone.Traits{
		Labels: c.Labels, StdinOnce: c.StdinOnce, AttachStdin: c.AttachStdin, AttachStdout: c.AttachStdout, AttachStderr: c.AttachStderr,
	}
	if warnings, err = setHost(&want, host); err != nil {
		return want, nil, err
	}
	if err := setMounts(&want, c.Volumes, host); err != nil {
		return want, nil, err
	}
	if c.NetworkDisabled {
		host.NetworkMode = "none"
	}
	s.MacAddress = body.MacAddress
	if err := setNetworks(&want, host, body.NetworkingConfig); err != nil {
		return want, nil, err
	}
	if len(s.Ports) > 0 && s.NetworkMode != "" {
		s.Ports = nil
		warnings = append(warnings, "Published ports are discarded when using "+s.NetworkMode+" network mode")
	}
	return want, warnings, nil
}

// setEnvironment: a name without a value unsets what the image says.
func setEnvironment(s *plan.Spec, env []string) {
	for _, kv := range env {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			s.Unset = append(s.Unset, name)
			delete(s.Environment, name)
			continue
		}
		if s.Environment == nil {
			s.Environment = map[string]string{}
		}
		s.Environment[name] = value
		s.Unset = slices.DeleteFunc(s.Unset, func(n string) bool { return n == name })
	}
	slices.Sort(s.Unset)
}

func healthCheck(h *container.HealthConfig) *plan.HealthCheck {
	if h == nil {
		return nil
	}
	return &plan.HealthCheck{
		Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries, Disable: len(h.Test) > 0 && h.Test[0] == "NONE",
	}
}
