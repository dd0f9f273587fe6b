// Package file has the verbs of the Compose file: config, graph and lsp.
package file

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/redact"
	"github.com/stackrun/stack/spec/render"
)

type configFlags struct {
	format, output, hash                          string
	services, volumes, networks, profiles, images bool
	environment, variables, quiet                 bool
	noInterpolate, digests, lockDigests, models   bool
	raw                                           spec.Raw
	explain                                       string
	showSecrets                                   bool
}

// NewConfigCommand makes the command config.
func NewConfigCommand(run *cli.Run) *cobra.Command {
	var c configFlags
	cmd := &cobra.Command{
		Use:   "config [OPTIONS] [SERVICE...]",
		Short: "Check the Compose file and show it as it is understood",
		Long:  "Checks the Compose file and shows it with everything joined: variables, several files, includes, extends, defaults. It needs no daemon.",
		RunE:  func(cmd *cobra.Command, services []string) error { return showConfig(cmd.Context(), run, c, services) },
	}
	f := cmd.Flags()
	f.StringVar(&c.format, "format", "yaml", "yaml or json")
	f.StringVarP(&c.output, "output", "o", "", "Write to this file")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "Only check")
	f.BoolVar(&c.services, "services", false, "Only the names of the services")
	f.BoolVar(&c.volumes, "volumes", false, "Only the names of the volumes")
	f.BoolVar(&c.networks, "networks", false, "Only the names of the networks")
	f.BoolVar(&c.profiles, "profiles", false, "Only the names of the profiles")
	f.BoolVar(&c.images, "images", false, "Only the names of the images")
	f.BoolVar(&c.models, "models", false, "Only the models")
	f.BoolVar(&c.environment, "environment", false, "Only the variables that the file is read with")
	f.BoolVar(&c.variables, "variables", false, "Only the variables that the file refers to, with their defaults")
	f.StringVar(&c.hash, "hash", "", "Only the hash of this service's configuration, or of services apart by commas; * is all")
	f.StringVar(&c.explain, "explain", "", "Tell where the values at this address come from, such as services.web.ports, and what they override")
	f.BoolVar(&c.showSecrets, "show-secrets", false, "Do not hide what may be secret; JSON and --output are always whole")
	f.BoolVar(&c.noInterpolate, "no-interpolate", false, "Leave variables and every value as they are written: files are only joined")
	f.BoolVar(&c.raw.Defaults, "no-normalize", false, "Add no names, networks and other defaults that the file does not say")
	f.BoolVar(&c.raw.Paths, "no-path-resolution", false, "Leave relative paths as they are")
	f.BoolVar(&c.raw.EnvFiles, "no-env-resolution", false, "Do not read env files")
	f.BoolVar(&c.raw.Consistency, "no-consistency", false, "Do not check what services refer to")
	f.BoolVar(&c.digests, "resolve-image-digests", false, "Ask the registries, and show each image with the digest that its tag is at")
	f.BoolVar(&c.lockDigests, "lock-image-digests", false, "Show only the images with their digests: a file to give to -f behind the others")
	return cmd
}

func showConfig(ctx context.Context, run *cli.Run, c configFlags, services []string) error {
	if c.format != "yaml" && c.format != "json" {
		return fmt.Errorf("unsupported --format value %q, expected yaml or json", c.format)
	}
	switch {
	case c.variables:
		return writeVariables(ctx, run, c)
	case c.noInterpolate:
		return writeUninterpolated(ctx, run, c)
	case c.explain != "":
		return explainValues(ctx, run, c, services)
	}
	purpose := spec.ToShow
	if c.hash != "" { // of what up would make
		purpose = spec.ToRun
		if c.hash != "*" {
			services = append(services, strings.Split(c.hash, ",")...)
		}
	}
	if c.raw != (spec.Raw{}) && c.hash != "" {
		return fmt.Errorf("--hash is of what up would make: it goes with none of --no-consistency, --no-env-resolution, --no-normalize and --no-path-resolution")
	}
	if !c.shows() && c.hash == "" {
		c.raw.EnvFiles = true // names are not in them, and one that is made later, or is another's, is no reason to list none
	}
	p, err := run.LoadRaw(ctx, purpose, c.raw, services)
	if err != nil {
		return err
	}
	if c.shows() && (c.digests || c.lockDigests) {
		if p, err = pinned(ctx, run, p, services); err != nil {
			return err
		}
	}
	if c.quiet {
		return nil
	}
	return writeTo(run, c.output, func(w io.Writer) error { return writeConfig(run, w, c, p, services) })
}

// shows says whether the project is asked for, and not a list of something in it.
func (c *configFlags) shows() bool {
	return !(c.services || c.volumes || c.networks || c.models || c.profiles || c.images || c.environment) && c.hash == ""
}

// writeTo lets write write to a file, or to stdout when there is no name.
func writeTo(run *cli.Run, name string, write func(io.Writer) error) error {
	if name == "" {
		return write(run.Out)
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("cannot write the output: %w", err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	return f.Close()
}

// writeUninterpolated writes the files joined, with their variables.
func writeUninterpolated(ctx context.Context, run *cli.Run, c configFlags) error {
	lists := c
	lists.services = false
	if !lists.shows() || c.digests || c.lockDigests || c.raw != (spec.Raw{}) {
		return fmt.Errorf("--no-interpolate shows the files as they are written, and goes with --services, --format, --output and --quiet only")
	}
	in, err := run.Input(ctx)
	if err != nil {
		return err
	}
	model, faults := spec.Uninterpolated(ctx, in)
	if faults.HasErrors() {
		return console.Faults(faults)
	}
	run.PrintWarnings(faults)
	if c.quiet {
		return nil
	}
	return writeTo(run, c.output, func(w io.Writer) error {
		if c.services {
			return writeServices(w, model)
		}
		return render.Model(w, c.format, model)
	})
}

// writeServices writes the names of model's services, of all profiles, as docker compose: which are active its variables may say.
func writeServices(w io.Writer, model json.RawMessage) error {
	var of struct{ Services map[string]json.RawMessage }
	if err := json.Unmarshal(model, &of); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(of.Services)) {
		if _, err := fmt.Fprintln(w, name); err != nil {
			return err
		}
	}
	return nil
}

// writeConfig writes the one thing that was asked for.
func writeConfig(run *cli.Run, w io.Writer, c configFlags, p *spec.Project, services []string) error {
	lines := func(list []string) error {
		for _, l := range list {
			if _, err := fmt.Fprintln(w, l); err != nil {
				return err
			}
		}
		return nil
	}
	shown := *p
	if len(services) > 0 {
		shown = *p.Only(selection.WithDependencies(p, services))
	}
	keep := shown.Services
	switch {
	case c.services:
		return lines(slices.Sorted(maps.Keys(keep)))
	case c.volumes:
		return lines(slices.Sorted(maps.Keys(p.Volumes)))
	case c.networks:
		return lines(slices.Sorted(maps.Keys(p.Networks)))
	case c.models:
		return lines(modelNames(p))
	case c.profiles:
		return lines(allProfiles(p))
	case c.images:
		return lines(images(p, keep))
	case c.hash != "":
		return writeHashes(w, p, c.hash)
	case c.environment:
		var env []string
		all := maps.Clone(run.Variables())
		all["COMPOSE_PROJECT_NAME"] = p.Name
		for _, k := range slices.Sorted(maps.Keys(all)) {
			if !c.showSecrets {
				if all[k] = redact.URLs(all[k]); redact.Name(k) && all[k] != "" {
					all[k] = redact.Hidden
				}
			}
			env = append(env, k+"="+all[k])
		}
		return lines(env)
	}
	if c.lockDigests {
		warnUnlocked(run, &shown)
		return render.Images(w, c.format, &shown)
	}
	if c.format == "yaml" && c.output == "" && !c.showSecrets {
		return render.RedactedYAML(w, &shown, run.Variables())
	}
	return writeProject(w, c.format, &shown)
}

// writeVariables lists what the files refer to, before anything is put in their place.
func writeVariables(ctx context.Context, run *cli.Run, c configFlags) error {
	in, err := run.Input(ctx)
	if err != nil {
		return err
	}
	list, faults := spec.Variables(ctx, in)
	if faults.HasErrors() {
		return console.Faults(faults)
	}
	if c.format == "json" {
		return writeVariablesJSON(run.Out, list)
	}
	t := tabwriter.NewWriter(run.Out, 20, 1, 3, ' ', 0)
	fmt.Fprintln(t, "NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE")
	for _, v := range list {
		for _, text := range []*string{&v.Default, &v.Alternate} {
			if !c.showSecrets && *text != "" && (redact.Name(v.Name) || redact.Value(*text)) {
				*text = redact.Hidden
			}
		}
		fmt.Fprintf(t, "%s\t%t\t%s\t%s\n", v.Name, v.Required, v.Default, v.Alternate)
	}
	return t.Flush()
}

// writeVariablesJSON writes docker compose's object, by name. As all JSON it is whole.
func writeVariablesJSON(w io.Writer, list []interp.Variable) error {
	type variable struct {
		Name, DefaultValue, PresenceValue string
		Required                          bool
	}
	all := map[string]variable{}
	for _, v := range list {
		all[v.Name] = variable{v.Name, v.Default, v.Alternate, v.Required}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	return e.Encode(all)
}

// writeHashes writes what the containers of services bear as com.docker.compose.config-hash.
func writeHashes(w io.Writer, p *spec.Project, services string) error {
	hashes, faults := desire.Hashes(p)
	if faults.HasErrors() {
		p.Sources.Fill(faults)
		return console.Faults(faults)
	}
	names := slices.Sorted(strings.SplitSeq(services, ","))
	if services == "*" {
		names = slices.Sorted(maps.Keys(hashes))
	}
	if err := selection.Check(p, names); err != nil {
		return err
	}
	for _, n := range names {
		if _, err := fmt.Fprintln(w, n, hashes[n]); err != nil {
			return err
		}
	}
	return nil
}

func allProfiles(p *spec.Project) []string {
	var all []string
	for _, services := range []map[string]*spec.Service{p.Services, p.Inactive} {
		for _, s := range services {
			all = append(all, s.Profiles...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// modelNames are what the models of p are, not their keys.
func modelNames(p *spec.Project) []string {
	var all []string
	for _, m := range p.Models {
		all = append(all, m.Model)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// images are those of services, one for each service as with docker compose: several may have the same.
func images(p *spec.Project, services map[string]*spec.Service) []string {
	var all []string
	for _, s := range services {
		image := p.ImageOf(s)
		if image != "" {
			all = append(all, image)
		}
		for _, h := range s.PreStart {
			if h.Image != "" && h.Image != image {
				all = append(all, h.Image)
			}
		}
	}
	slices.Sort(all)
	return all
}

func writeProject(w io.Writer, format string, p *spec.Project) error {
	if format == "json" {
		return render.JSON(w, p)
	}
	return render.YAML(w, p)
}
