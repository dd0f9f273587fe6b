package build

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// configure carries out c if it changes the configuration alone. Its words are expanded.
func (s *state) configure(c instructions.Command, words *expander) (done bool, err error) {
	conf := &s.conf.Config
	switch c := c.(type) {
	case *instructions.EnvCommand:
		text := "ENV"
		for _, kv := range c.Env {
			conf.Env = setVariable(conf.Env, kv.Key, kv.Value)
			s.scope.set(kv.Key, kv.Value)
			text += " " + kv.String()
		}
		s.told(text)
	case *instructions.LabelCommand:
		s.label(c.Labels)
	case *instructions.MaintainerCommand:
		s.conf.Author = c.Maintainer
		s.told("MAINTAINER " + c.Maintainer)
	case *instructions.UserCommand:
		conf.User = c.User
		s.told("USER " + c.User)
	case *instructions.CmdCommand:
		conf.Cmd, conf.ArgsEscaped = s.command(c.ShellDependantCmdLine), true
		s.told(fmt.Sprintf("CMD %q", conf.Cmd))
	case *instructions.EntrypointCommand:
		conf.Entrypoint = s.command(c.ShellDependantCmdLine)
		s.told(fmt.Sprintf("ENTRYPOINT %q", conf.Entrypoint))
	case *instructions.ShellCommand:
		conf.Shell = c.Shell
		s.told(fmt.Sprintf("SHELL %v", c.Shell))
	case *instructions.StopSignalCommand:
		if !signal(c.Signal) {
			return true, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%q is no signal", c.Signal))
		}
		conf.StopSignal = c.Signal
		s.told("STOPSIGNAL " + c.Signal)
	case *instructions.VolumeCommand:
		conf.Volumes = copyTable(conf.Volumes)
		for _, v := range c.Volumes {
			if v == "" {
				return true, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("a volume has no path"))
			}
			conf.Volumes[v] = struct{}{}
		}
		s.told(fmt.Sprintf("VOLUME %v", c.Volumes))
	case *instructions.ExposeCommand:
		return true, s.expose(c, words)
	case *instructions.HealthCheckCommand:
		conf.Healthcheck = &v1.HealthConfig{
			Test: c.Health.Test, Interval: c.Health.Interval, Timeout: c.Health.Timeout, StartPeriod: c.Health.StartPeriod, Retries: c.Health.Retries,
		}
		s.told(fmt.Sprintf("HEALTHCHECK %+v", *conf.Healthcheck))
	case *instructions.OnbuildCommand:
		conf.OnBuild = append(slices.Clone(conf.OnBuild), c.Expression)
		s.told("ONBUILD " + c.Expression)
	default:
		return false, nil
	}
	return true, nil
}

func (s *state) label(labels instructions.KeyValuePairs) {
	text := "LABEL"
	all := make(map[string]string, len(s.conf.Config.Labels)+len(labels))
	for k, v := range s.conf.Config.Labels {
		all[k] = v
	}
	for _, kv := range labels {
		all[kv.Key] = kv.Value
		text += " " + kv.String()
	}
	s.conf.Config.Labels = all
	s.told(text)
}

// command is a CMD or ENTRYPOINT in the form in which it is run.
func (s *state) command(c instructions.ShellDependantCmdLine) []string {
	if c.PrependShell {
		return s.shellForm(c.CmdLine)
	}
	return c.CmdLine
}

func copyTable(m map[string]struct{}) map[string]struct{} {
	out := make(map[string]struct{}, len(m)+1)
	for k := range m {
		out[k] = struct{}{}
	}
	return out
}

// expose reads 80, 80/udp, 7000-7010 and, as docker does, a host's part that has no meaning.
func (s *state) expose(c *instructions.ExposeCommand, words *expander) error {
	var all []string
	for _, p := range c.Ports {
		list, err := words.words(p, &s.scope)
		if err != nil {
			return err
		}
		for _, p := range list {
			ports, err := exposed(p)
			if err != nil {
				return errdefs.With(errdefs.ErrInvalidArgument, err)
			}
			all = append(all, ports...)
		}
	}
	s.conf.Config.ExposedPorts = copyTable(s.conf.Config.ExposedPorts)
	for _, p := range all {
		s.conf.Config.ExposedPorts[p] = struct{}{}
	}
	s.told(fmt.Sprintf("EXPOSE %v", all))
	return nil
}

func exposed(spec string) ([]string, error) {
	ports := spec[strings.LastIndexByte(spec, ':')+1:]
	ports, proto, _ := strings.Cut(ports, "/")
	switch proto = strings.ToLower(proto); proto {
	case "":
		proto = "tcp"
	case "tcp", "udp", "sctp":
	default:
		return nil, fmt.Errorf("%q: expected tcp, udp or sctp behind the slash", spec)
	}
	first, last, ranged := strings.Cut(ports, "-")
	from, err := strconv.ParseUint(first, 10, 16)
	to := from
	if err == nil && ranged {
		to, err = strconv.ParseUint(last, 10, 16)
	}
	if err != nil || to < from {
		return nil, fmt.Errorf("%q: expected a port from 0 to 65535, or a range of them", spec)
	}
	var list []string
	for p := from; p <= to; p++ {
		list = append(list, fmt.Sprintf("%d/%s", p, proto))
	}
	return list, nil
}

func signal(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n > 0 && n <= 64
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if unix.SignalNum(name) != 0 {
		return true
	}
	rt, ok := strings.CutPrefix(name, "SIGRTM")
	return ok && (strings.HasPrefix(rt, "IN") || strings.HasPrefix(rt, "AX"))
}

// workdir is where a WORKDIR leads from where the stage is.
func (s *state) workdir(to string) string {
	if !path.IsAbs(to) {
		at := s.conf.Config.WorkingDir
		if at == "" {
			at = "/"
		}
		to = path.Join(at, to)
	}
	return path.Clean(to)
}

// inWorkdir is the destination of a COPY, ADD or mount.
func (s *state) inWorkdir(dest string) string { return s.workdir(dest) }

// asDirectory says whether dest is written as a directory.
func asDirectory(dest string) bool {
	return strings.HasSuffix(dest, "/") || dest == "." || dest == ".." || strings.HasSuffix(dest, "/.") || strings.HasSuffix(dest, "/..")
}

// argument declares the ARGs of c and returns what the history says.
func (s *state) argument(c *instructions.ArgCommand, given map[string]string, global *variables, words *expander) error {
	var texts []string
	for _, a := range c.Args {
		value := a.Value
		text := a.Key
		if v, ok := given[a.Key]; ok {
			value = &v
		} else if value == nil {
			if v, ok := global.Get(a.Key); ok {
				value = &v
			}
		} else {
			v, err := words.word(*value, &s.scope)
			if err != nil {
				return err
			}
			value = &v
		}
		if value != nil {
			s.scope.set(a.Key, *value)
			text += "=" + *value
			if !slices.Contains(s.args, a.Key) {
				s.args = append(slices.Clone(s.args), a.Key)
			}
		}
		texts = append(texts, text)
	}
	s.told("ARG " + strings.Join(texts, " "))
	return nil
}

// arguments are the ARGs of the stage that have a value and are no ENV.
func (s *state) arguments() []string {
	env := variables{list: s.conf.Config.Env}
	var list []string
	for _, name := range s.args {
		if _, shadowed := env.Get(name); shadowed {
			continue
		}
		if v, ok := s.scope.Get(name); ok {
			list = append(list, name+"="+v)
		}
	}
	return list
}
