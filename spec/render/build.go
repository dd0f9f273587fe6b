package render

import (
	"strconv"

	"github.com/stackrun/stack/spec"
)

// build writes the keys in compose-go's order (types.BuildConfig, v2.14).
func build(p *spec.Project, at string, b *spec.Build) value {
	if b == nil {
		return nil
	}
	var o object
	o.add("context", str(b.Context))
	o.add("dockerfile", str(b.Dockerfile))
	o.add("dockerfile_inline", str(b.DockerfileInline))
	o.add("entitlements", texts(b.Entitlements))
	o.add("args", optionalMap(b.Args))
	o.add("provenance", str(b.Provenance))
	o.add("sbom", str(b.SBOM))
	o.add("ssh", sshKeys(b.SSH))
	o.add("labels", textMap(b.Labels))
	o.add("cache_from", texts(b.CacheFrom))
	o.add("cache_to", texts(b.CacheTo))
	o.add("no_cache", yes(b.NoCache))
	o.add("no_cache_filter", texts(b.NoCacheFilter))
	o.add("additional_contexts", textMap(b.AdditionalContexts))
	o.add("pull", yes(b.Pull))
	o.add("extra_hosts", hosts(b.ExtraHosts))
	o.add("isolation", str(b.Isolation))
	o.add("network", str(b.Network))
	o.add("target", str(b.Target))
	o.add("secrets", fileUses(b.Secrets))
	o.add("shm_size", size(b.ShmSize))
	o.add("tags", texts(b.Tags))
	o.add("ulimits", ulimits(p, at+"ulimits.", b.Ulimits))
	o.add("platforms", texts(b.Platforms))
	o.add("privileged", yes(b.Privileged))
	return o
}

func sshKeys(keys []spec.SSHKey) value {
	if len(keys) == 0 {
		return nil
	}
	var out list
	for _, k := range keys {
		s := k.ID
		if k.Path != "" {
			s += "=" + k.Path
		}
		out = append(out, text(s))
	}
	return out
}

// develop writes docker compose's order of keys and its habit: exec is there, and
// empty, in JSON.
func develop(watches []spec.Watch) value {
	if watches == nil {
		return nil
	}
	if len(watches) == 0 {
		return object{}
	}
	var out list
	for _, w := range watches {
		o := object{{"path", text(w.Path)}, {"action", text(w.Action)}}
		o.add("target", str(w.Target))
		if w.Exec != nil {
			o.add("exec", hook(*w.Exec))
		} else {
			o.add("exec", jsonOnlyObject{{"command", jsonOnlyNull{}}})
		}
		o.add("include", texts(w.Include))
		o.add("ignore", texts(w.Ignore))
		o.add("initial_sync", yes(w.InitialSync))
		out = append(out, o)
	}
	return object{{"watch", out}}
}

func hook(h spec.Hook) value {
	var o object
	o.add("command", command(h.Command))
	o.add("image", str(h.Image))
	o.add("user", str(h.User))
	o.add("privileged", yes(h.Privileged))
	o.add("working_dir", str(h.WorkingDir))
	o.add("environment", optionalMap(h.Environment))
	o.add("per_replica", yes(h.PerReplica))
	return o
}

func hooks(l []spec.Hook) value {
	if len(l) == 0 {
		return nil
	}
	var out list
	for _, h := range l {
		out = append(out, hook(h))
	}
	return out
}

func provider(p *spec.Provider) value {
	if p == nil {
		return nil
	}
	o := object{{"type", text(p.Type)}}
	if len(p.Options) > 0 {
		o.add("options", sorted(p.Options, func(l []string) value { return words(l) }))
	}
	return o
}

func modelUses(m map[string]*spec.ModelUse) value {
	if len(m) == 0 {
		return nil
	}
	return sorted(m, func(u *spec.ModelUse) value {
		if u == nil {
			return null{}
		}
		o := object{}
		o.add("endpoint_var", str(u.EndpointVar))
		o.add("model_var", str(u.ModelVar))
		return o
	})
}

func model(m *spec.Model) value {
	var o object
	o.add("name", str(m.Name))
	o.add("model", str(m.Model))
	o.add("context_size", number(m.ContextSize))
	o.add("runtime_flags", texts(m.RuntimeFlags))
	return o
}

// optionalMap writes variables; those without a value are null.
func optionalMap(m map[string]*string) value {
	if len(m) == 0 {
		return nil
	}
	return sorted(m, func(s *string) value {
		if s == nil {
			return null{}
		}
		return text(*s)
	})
}

func blkio(b *spec.BlkIO) value {
	if b == nil {
		return nil
	}
	var o object
	o.add("weight", number(b.Weight))
	o.add("weight_device", rates(b.WeightDevice, "Weight"))
	o.add("device_read_bps", rates(b.ReadBps, "Rate"))
	o.add("device_read_iops", rates(b.ReadIOps, "Rate"))
	o.add("device_write_bps", rates(b.WriteBps, "Rate"))
	o.add("device_write_iops", rates(b.WriteIOps, "Rate"))
	return o
}

// rates has the key names that docker compose writes: Path and Rate in JSON, path and rate in YAML.
func rates(l []spec.DeviceRate, key string) value {
	if len(l) == 0 {
		return nil
	}
	var out list
	for _, r := range l {
		amount := value(integer(r.Rate))
		if key == "Rate" {
			amount = text(strconv.FormatInt(r.Rate, 10))
		}
		out = append(out, capital{{"Path", text(r.Path)}, {key, amount}})
	}
	return out
}
