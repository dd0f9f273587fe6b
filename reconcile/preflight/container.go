package preflight

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/grant"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/cgroup"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/seccomp"
	"github.com/stackrun/stack/spec/diag"
)

// minMemory is the least memory limit, bytes. Below it the kernel kills what prepares the container before its program
// runs; docker has the same bound.
const minMemory = 6 << 20

// checkContainer looks at what a container of a service asks of the host.
func (s *survey) checkContainer(ctx context.Context, name string) {
	at, want := "services."+name, s.want.Services[name]
	c := &want.Spec
	found := len(s.diags)
	s.checkLimits(at, c)
	s.checkUser(at, c)
	s.checkSecurity(at, c)
	s.checkSysctls(at, c)
	for i, d := range c.Devices {
		if _, err := grant.Devices(d.Source, d.Target, d.Permissions); err != nil {
			s.add(&diag.Diagnostic{Code: "missing-device", Summary: "a device of the host cannot be used", Detail: fmt.Sprintf("service %s wants %s: %v", name, d.Source, err),
				Hint: "correct the path, or remove the device", Address: fmt.Sprintf("%s.devices[%d]", at, i), Err: err})
		}
	}
	if _, err := grant.Requested(c); err != nil {
		s.refuse("missing-device", "a device that a service asks for cannot be given", s.written(at+".gpus", at+".deploy.resources.reservations.devices", at+".runtime", at+".devices"), err)
	}
	if _, err := grant.BlockIO(c.Resources.BlkIO); err != nil {
		s.refuse("bad-blkio", "limits of block devices cannot be set", at+".blkio_config", err)
	}
	if c.WorkingDir != "" && !strings.HasPrefix(c.WorkingDir, "/") {
		s.add(&diag.Diagnostic{Code: "relative-working-dir", Summary: "a working directory is not absolute", Detail: strconv.Quote(c.WorkingDir) + " of service " + name,
			Hint: "write the full path in the container", Address: at + ".working_dir"})
	}
	if c.CgroupParent != "" {
		s.add(&diag.Diagnostic{Code: "no-cgroup-parent", Summary: "containers cannot be put below a cgroup of the user's", Detail: fmt.Sprintf("service %s wants %s", name, c.CgroupParent),
			Hint: "remove the key; the cgroups of an instance are all below one of its own", Address: at + ".cgroup_parent"})
	}
	s.checkSteps(ctx, at, c)
	if len(s.diags) == found {
		s.rehearse(ctx, at, want)
	}
}

// checkSteps looks at the steps before a container's start: a directory that is none, and nothing to run.
func (s *survey) checkSteps(ctx context.Context, at string, c *plan.Spec) {
	for i := range c.PreStart {
		step := bundle.Step("", c, i)
		key := fmt.Sprintf("%s.pre_start[%d]", at, i)
		if step.WorkingDir != "" && !strings.HasPrefix(step.WorkingDir, "/") {
			s.add(&diag.Diagnostic{Code: "relative-working-dir", Summary: "a working directory is not absolute", Detail: strconv.Quote(step.WorkingDir),
				Hint: "write the full path in the container", Address: key + ".working_dir"})
		}
		if info, err := inventory.Image(ctx, s.drivers, step.Image, step.Platform); err == nil { // else it is to be pulled
			if _, err := bundle.Args(&step, &info.Config); err != nil {
				s.refuse("bad-container", "a container cannot be made as the file says", key, err)
			}
		}
	}
}

// rehearse translates the container as its creation will, if its image is here: what that refuses is refused now.
func (s *survey) rehearse(ctx context.Context, at string, want *plan.Service) {
	info, err := inventory.Image(ctx, s.drivers, want.Spec.Image, want.Spec.Platform)
	if err != nil {
		return // it is to be pulled; the plan's own step says what is wrong with it
	}
	if _, err = bundle.Args(&want.Spec, &info.Config); err == nil && plain(&want.Spec) {
		return
	}
	var profile []byte
	if err == nil {
		profile, err = grant.SeccompProfile(&want.Spec)
	}
	if err == nil {
		var cfg runtime.Config
		cfg, _, err = bundle.New(bundle.Input{
			ID: strings.Repeat("0", 64), Name: want.Name, Project: s.want.Project, Service: want.Name, Number: 1, Spec: want.Spec,
			Image: info.Config, ImageID: info.ID.String(), Root: []mount.Mount{{}}, Seccomp: profile, Available: s.capabilities,
		})
		if err == nil {
			err = runtime.Check(&cfg)
		}
	}
	if err != nil {
		s.refuse("bad-container", "a container cannot be made as the file says", at, err)
	}
}

// plain says that nothing in c can be refused but what it runs: most containers, and a seccomp filter takes its time.
func plain(c *plan.Spec) bool {
	return !c.Privileged && len(c.SecurityOpt)+len(c.CapAdd)+len(c.CapDrop)+len(c.DeviceRules) == 0 && c.IPC+c.PID+c.UTS+c.Cgroup+c.Logging.Driver == "" && len(c.Logging.Options) == 0
}

// checkLimits finds limits that the kernel would refuse, or that no machine of this size can give. The bounds on cpus are docker's.
func (s *survey) checkLimits(at string, c *plan.Spec) {
	r := &c.Resources
	if r.Memory > 0 && r.Memory < minMemory {
		s.add(&diag.Diagnostic{Code: "small-memory", Summary: "a memory limit is too small for any container", Detail: fmt.Sprintf("%d bytes; the least is %d (6 MiB)", r.Memory, minMemory),
			Hint: "raise it", Address: s.written(at+".deploy.resources.limits.memory", at+".mem_limit")})
	}
	if have := goruntime.NumCPU(); r.CPUs > 0 && (r.CPUs < 0.01 || r.CPUs > float64(have)) {
		s.add(&diag.Diagnostic{Code: "too-many-cpus", Summary: "a number of cpus is not one that this host can give", Detail: fmt.Sprintf("%g; it has %d, and the least share is 0.01", r.CPUs, have),
			Hint: "correct it, or remove the limit", Address: s.written(at+".deploy.resources.limits.cpus", at+".cpus")})
	}
	if r.CPUSet != "" {
		if err := cgroup.CheckCPUs(r.CPUSet); err != nil {
			s.refuse("bad-cpuset", "a set of cpus is not one of this host", at+".cpuset", err)
		}
	}
}

// checkUser finds ids that no process can have: the kernel's are of 32 bits and -1 is none, and the user databases of images hold 31.
func (s *survey) checkUser(at string, c *plan.Spec) {
	check := func(what, id, address string) {
		n, err := strconv.ParseUint(id, 10, 64)
		if digits := strings.Trim(id, "0123456789") == "" && id != ""; digits && (err != nil || n > math.MaxInt32) {
			s.add(&diag.Diagnostic{Code: "bad-id", Summary: "a user or group id is out of range", Detail: fmt.Sprintf("%s %s; expected 0 to %d", what, id, math.MaxInt32), Address: address})
		}
	}
	user, group, _ := strings.Cut(c.User, ":")
	check("user", user, at+".user")
	check("group", group, at+".user")
	for i, g := range c.GroupAdd {
		check("group", g, fmt.Sprintf("%s.group_add[%d]", at, i))
	}
}

// checkSecurity reads the seccomp profile and looks for what this platform cannot enforce.
func (s *survey) checkSecurity(at string, c *plan.Spec) {
	for i, opt := range c.SecurityOpt {
		address := fmt.Sprintf("%s.security_opt[%d]", at, i)
		switch name, value := bundle.SecurityOpt(opt); {
		case name == "seccomp" && value != "unconfined" && value != "builtin":
			raw, err := grant.SeccompProfile(&plan.Spec{SecurityOpt: []string{opt}})
			if err == nil {
				_, err = seccomp.Load(raw, s.capabilities)
			}
			if err != nil {
				s.refuse("bad-seccomp-profile", "a seccomp profile cannot be used", address, err)
			}
		case name == "apparmor" && value != "unconfined", name == "label" && value != "disable":
			s.add(&diag.Diagnostic{Code: "no-lsm", Summary: "AppArmor profiles and SELinux labels are not supported", Detail: strconv.Quote(opt),
				Hint: "remove it, or write apparmor=unconfined, label=disable", Address: address})
		}
	}
}

// checkSysctls finds settings that this kernel does not have. Those of an interface are there once the interface is, and
// what a value may be the kernel says when it is written.
func (s *survey) checkSysctls(at string, c *plan.Spec) {
	for key := range c.Sysctls {
		words := strings.Split(key, ".")
		if i := slices.IndexFunc(words, func(w string) bool { return w == "conf" || w == "neigh" }); i >= 0 && i+1 < len(words) && !slices.Contains([]string{"all", "default", "lo"}, words[i+1]) {
			continue
		}
		if strings.Contains(key, "/") {
			continue // sysctl(8)'s other spelling, in which a dot is part of a name: mostly an interface's
		}
		if _, err := os.Stat("/proc/sys/" + strings.Join(words, "/")); isNotExist(err) {
			s.add(&diag.Diagnostic{Code: "unknown-sysctl", Summary: "this kernel has no such setting", Detail: key, Hint: "correct the name, or load the module that has it", Address: at + ".sysctls." + key,
				Err: errdefs.With(errdefs.ErrNotSupported, &fs.PathError{Op: "stat", Path: key, Err: fs.ErrNotExist})})
		}
	}
}
