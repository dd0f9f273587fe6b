package deploy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
)

// attached says whether up follows the output.
func (u upFlags) attached() bool { return !u.detach && !u.wait && !u.noStart }

// check settles what one flag implies of another, and refuses combinations that docker compose refuses, and what
// stack does not have.
func (u *upFlags) check() error {
	if u.exitCodeFrom != "" && !u.abortOnFailure {
		u.abortOnExit = true
	}
	follows := len(u.attach) > 0 || len(u.noAttach) > 0 || u.attachDependencies || u.abortOnExit || u.abortOnFailure || u.watch
	switch {
	case u.watch && u.noBuild:
		return fmt.Errorf("--watch and --no-build are incompatible")
	case u.wait && follows:
		return fmt.Errorf("--wait cannot be combined with --attach, --no-attach, --attach-dependencies, --abort-on-container-exit, --abort-on-container-failure, --exit-code-from or --watch")
	case u.detach && follows:
		return fmt.Errorf("-d cannot be combined with --attach, --no-attach, --attach-dependencies, --abort-on-container-exit, --abort-on-container-failure, --exit-code-from or --watch")
	case u.noRecreate && u.alwaysRecreateDeps:
		return fmt.Errorf("--always-recreate-deps and --no-recreate are incompatible")
	case u.noRecreate && u.renewAnon:
		return fmt.Errorf("--no-recreate and --renew-anon-volumes are incompatible")
	case len(u.attach) > 0 && u.attachDependencies:
		return fmt.Errorf("--attach and --attach-dependencies are incompatible")
	case u.abortOnExit && u.abortOnFailure:
		return fmt.Errorf("--abort-on-container-exit and --abort-on-container-failure are incompatible")
	case u.noStart && (u.wait || follows):
		return fmt.Errorf("--no-start cannot be combined with what waits for or follows running containers")
	case u.waitTimeout != 0 && !u.wait:
		return fmt.Errorf("--wait-timeout needs --wait")
	case u.waitTimeout < 0:
		return fmt.Errorf("--wait-timeout %d: expected a number of seconds", u.waitTimeout)
	case !u.dryRun && u.format != "":
		return fmt.Errorf("--format needs --dry-run")
	case u.menu && u.detach:
		return fmt.Errorf("--menu and -d are incompatible")
	}
	if err := formatter.CheckTextOrJSON(u.format); err != nil {
		return err
	}
	return u.planFlags.check()
}

func (p planFlags) check() error {
	if p.forceRecreate && p.noRecreate {
		return fmt.Errorf("--force-recreate and --no-recreate are incompatible")
	}
	if p.build && p.noBuild {
		return fmt.Errorf("--build and --no-build are incompatible")
	}
	return nil
}

// fill puts the flags that up and create share into o.
func (p planFlags) fill(o *ask.UpOptions, run *cli.Run, changed func(string) bool) error {
	o.Command, o.ForceRecreate, o.NoRecreate = run.Command(), p.forceRecreate, p.noRecreate
	switch p.pull {
	case "policy", "":
	case "always", "missing", "never", "build":
		o.Pull = p.pull
	default:
		return fmt.Errorf("invalid --pull option %q, expected always, missing, never, build or policy", p.pull)
	}
	if o.Offline && o.Pull == "always" {
		return fmt.Errorf("--offline and --pull always are incompatible")
	}
	o.Build, o.NoBuild = p.build, p.noBuild
	o.RemoveOrphans = run.Env.RemoveOrphans(p.removeOrphans, changed("remove-orphans"))
	o.IgnoreOrphans = run.Env.Truthy("COMPOSE_IGNORE_ORPHANS")
	if o.RemoveOrphans && o.IgnoreOrphans {
		return errors.New("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans")
	}
	var err error
	if o.Ports, err = run.Env.HostPorts(p.autoPorts, changed("auto-ports")); err != nil {
		return err
	}
	o.Scale, err = parseScale("--scale option", p.scale)
	return err
}

// parseScale reads SERVICE=N; what says where that stands.
func parseScale(what string, list []string) (map[string]int, error) {
	if len(list) == 0 {
		return nil, nil
	}
	scale := map[string]int{}
	for _, s := range list {
		name, text, ok := strings.Cut(s, "=")
		n, err := strconv.Atoi(text)
		if !ok || name == "" || err != nil || n < 0 {
			return nil, fmt.Errorf("invalid %s %q, expected SERVICE=NUMBER", what, s)
		}
		scale[name] = n
	}
	return scale, nil
}

func optional(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
