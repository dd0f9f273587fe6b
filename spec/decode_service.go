package spec

import (
	"fmt"
	"math"
	"slices"

	"github.com/stackrun/stack/spec/tree"
)

// draft is a service under decoding: what cannot be said before all its keys are
// read, and before the profiles say whether it is in at all.
type draft struct {
	Service
	key         *tree.Node
	node        *tree.Node
	environment *tree.Node
	labels      *tree.Node
	envFiles    []envFile
	labelFiles  []*tree.Node
	links       []link
	scale       *tree.Node
	deploy      deploy
	restart     *tree.Node
	flat        map[string]*tree.Node // keys that deploy.resources may say too
	noImage     bool                  // nothing says what to start
}

var serviceFields = fields[draft]{
	"image":          func(d *decoder, n *tree.Node, s *draft) { s.Image = d.image(n) },
	"platform":       func(d *decoder, n *tree.Node, s *draft) { s.Platform = d.platform(n) },
	"pull_policy":    func(d *decoder, n *tree.Node, s *draft) { s.PullPolicy = d.pullPolicy(n) },
	"container_name": func(d *decoder, n *tree.Node, s *draft) { s.ContainerName = d.containerName(n) },
	"profiles":       func(d *decoder, n *tree.Node, s *draft) { s.Profiles = unique(d.items(n), d.str) },
	"build":          func(d *decoder, n *tree.Node, s *draft) { s.Build = d.build(n) },
	"provider":       func(d *decoder, n *tree.Node, s *draft) { s.Provider = d.provider(n) },
	"models":         func(d *decoder, n *tree.Node, s *draft) { s.Models = d.modelUses(n) },
	"runtime":        func(d *decoder, n *tree.Node, s *draft) { s.Runtime = d.str(n) },
	"attach":         func(d *decoder, n *tree.Node, s *draft) { b := d.boolean(n); s.Attach = &b },
	"extends":        func(*decoder, *tree.Node, *draft) {}, // resolved before

	"command":     func(d *decoder, n *tree.Node, s *draft) { s.Command = d.command(n) },
	"entrypoint":  func(d *decoder, n *tree.Node, s *draft) { s.Entrypoint = d.command(n) },
	"environment": func(d *decoder, n *tree.Node, s *draft) { s.environment = n },
	"env_file":    func(d *decoder, n *tree.Node, s *draft) { s.envFiles = d.envFiles(n) },
	"working_dir": func(d *decoder, n *tree.Node, s *draft) { s.WorkingDir = d.str(n) },
	"user":        func(d *decoder, n *tree.Node, s *draft) { s.User = d.str(n) },
	"group_add":   func(d *decoder, n *tree.Node, s *draft) { s.GroupAdd = d.distinct(n, d.text) },
	"hostname":    func(d *decoder, n *tree.Node, s *draft) { s.Hostname = d.hostname(n) },
	"domainname":  func(d *decoder, n *tree.Node, s *draft) { s.Domainname = d.str(n) },
	"init":        func(d *decoder, n *tree.Node, s *draft) { s.Init = d.boolean(n) },
	"tty":         func(d *decoder, n *tree.Node, s *draft) { s.TTY = d.boolean(n) },
	"stdin_open":  func(d *decoder, n *tree.Node, s *draft) { s.StdinOpen = d.boolean(n) },
	"stop_signal": func(d *decoder, n *tree.Node, s *draft) { s.StopSignal = d.signal(n) },
	"stop_grace_period": func(d *decoder, n *tree.Node, s *draft) {
		v := d.duration(n)
		s.StopGrace = &v
	},
	"labels":      func(d *decoder, n *tree.Node, s *draft) { s.labels = n },
	"label_file":  func(d *decoder, n *tree.Node, s *draft) { s.labelFiles = d.many(n) },
	"annotations": func(d *decoder, n *tree.Node, s *draft) { s.Annotations = d.stringMap(n) },
	"sysctls":     func(d *decoder, n *tree.Node, s *draft) { s.Sysctls = d.sysctls(n) },
	"ulimits":     func(d *decoder, n *tree.Node, s *draft) { s.Ulimits = d.ulimits(n) },

	"read_only":           func(d *decoder, n *tree.Node, s *draft) { s.ReadOnly = d.boolean(n) },
	"shm_size":            func(d *decoder, n *tree.Node, s *draft) { s.ShmSize = d.bytes(n) },
	"volumes":             func(d *decoder, n *tree.Node, s *draft) { s.Mounts = d.mounts(n) },
	"tmpfs":               func(d *decoder, n *tree.Node, s *draft) { s.Tmpfs = d.tmpfs(n) },
	"configs":             func(d *decoder, n *tree.Node, s *draft) { s.Configs = d.fileUses(n, "/") },
	"secrets":             func(d *decoder, n *tree.Node, s *draft) { s.Secrets = d.fileUses(n, "/run/secrets") },
	"volumes_from":        func(d *decoder, n *tree.Node, s *draft) { s.VolumesFrom = d.distinct(n, d.str) },
	"storage_opt":         func(d *decoder, n *tree.Node, s *draft) { s.StorageOpt = d.options(n) },
	"device_cgroup_rules": func(d *decoder, n *tree.Node, s *draft) { s.DeviceCgroupRules = d.distinct(n, d.str) },
	"gpus":                func(d *decoder, n *tree.Node, s *draft) { s.GPUs = d.deviceRequests(n, true) },
	"use_api_socket":      func(d *decoder, n *tree.Node, s *draft) { s.UseAPISocket = d.boolean(n) },
	"devices":             func(d *decoder, n *tree.Node, s *draft) { s.Devices = d.devices(n) },

	"networks":       func(d *decoder, n *tree.Node, s *draft) { s.Networks = d.endpoints(n) },
	"network_mode":   func(d *decoder, n *tree.Node, s *draft) { s.NetworkMode = d.networkMode(n) },
	"external_links": func(d *decoder, n *tree.Node, s *draft) { s.ExternalLinks = d.distinct(n, d.str) },
	"links":          func(d *decoder, n *tree.Node, s *draft) { s.links, s.Links = d.linksOf(n) },
	"ports":          func(d *decoder, n *tree.Node, s *draft) { s.Ports = d.ports(n) },
	"expose":         func(d *decoder, n *tree.Node, s *draft) { s.Expose = d.expose(n) },
	"dns":            func(d *decoder, n *tree.Node, s *draft) { s.DNS = d.addresses(n) },
	"dns_search":     func(d *decoder, n *tree.Node, s *draft) { s.DNSSearch = unique(d.many(n), d.str) },
	"dns_opt":        func(d *decoder, n *tree.Node, s *draft) { s.DNSOpt = unique(d.items(n), d.str) },
	"extra_hosts":    func(d *decoder, n *tree.Node, s *draft) { s.ExtraHosts = d.extraHosts(n) },
	"mac_address":    func(d *decoder, n *tree.Node, s *draft) { s.MacAddress = d.mac(n) },

	"cap_add":      func(d *decoder, n *tree.Node, s *draft) { s.CapAdd = d.capabilities(n) },
	"cap_drop":     func(d *decoder, n *tree.Node, s *draft) { s.CapDrop = d.capabilities(n) },
	"privileged":   func(d *decoder, n *tree.Node, s *draft) { s.Privileged = d.boolean(n) },
	"security_opt": func(d *decoder, n *tree.Node, s *draft) { s.SecurityOpt = d.distinct(n, d.str) },
	"ipc": func(d *decoder, n *tree.Node, s *draft) {
		s.IPC = d.namespace(n, "none", "private", "host", "shareable")
	},
	"pid":         func(d *decoder, n *tree.Node, s *draft) { s.PID = d.namespace(n, "host") },
	"uts":         func(d *decoder, n *tree.Node, s *draft) { s.UTS = d.anyOf(n, "host") },
	"cgroup":      func(d *decoder, n *tree.Node, s *draft) { s.Cgroup = d.oneOf(n, "host", "private") },
	"userns_mode": func(d *decoder, n *tree.Node, s *draft) { s.UserNS = d.anyOf(n, "host") }, // no user namespace is what we do
	"isolation":   func(d *decoder, n *tree.Node, s *draft) { s.Windows = d.anyOf(n, "default") },
	"credential_spec": func(d *decoder, n *tree.Node, s *draft) {
		s.CredentialSpec = &CredentialSpec{}
		object(d, n, credentialFields, s.CredentialSpec)
	},

	"cgroup_parent": func(d *decoder, n *tree.Node, s *draft) { s.CgroupParent = d.str(n) },
	"oom_score_adj": func(d *decoder, n *tree.Node, s *draft) { s.OOMScoreAdj = int(d.integer(n, -1000, 1000)) },
	"cpus": func(d *decoder, n *tree.Node, s *draft) {
		s.Resources.CPUs = d.number(n)
		s.both("cpus", n)
	},
	"cpu_shares": func(d *decoder, n *tree.Node, s *draft) {
		s.Resources.CPUShares = uint64(d.integer(n, 0, math.MaxInt64))
	},
	"cpu_count":      func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPUCount = d.integer(n, 0, math.MaxInt64) },
	"cpu_percent":    func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPUPercent = d.number(n) },
	"cpu_rt_runtime": func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPURTRuntime = d.integer(n, 0, math.MaxInt64) },
	"cpu_rt_period":  func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPURTPeriod = d.integer(n, 0, math.MaxInt64) },
	"blkio_config": func(d *decoder, n *tree.Node, s *draft) {
		s.BlkIO = &BlkIO{}
		object(d, n, blkioFields, s.BlkIO)
	},
	"cpu_quota":  func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPUQuota = d.integer(n, -1, math.MaxInt64) },
	"cpu_period": func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPUPeriod = uint64(d.integer(n, 0, 1000000)) },
	"cpuset":     func(d *decoder, n *tree.Node, s *draft) { s.Resources.CPUSet = d.cpuset(n) },
	"mem_limit": func(d *decoder, n *tree.Node, s *draft) {
		s.Resources.Memory = d.bytes(n)
		s.both("memory", n)
	},
	"mem_reservation": func(d *decoder, n *tree.Node, s *draft) {
		s.Resources.MemoryReservation = d.bytes(n)
		s.both("reservation", n)
	},
	"memswap_limit": func(d *decoder, n *tree.Node, s *draft) {
		if n.Kind == tree.Scalar && n.Value == "-1" {
			s.Resources.MemorySwap = -1
			return
		}
		s.Resources.MemorySwap = d.bytes(n)
	},
	"mem_swappiness": func(d *decoder, n *tree.Node, s *draft) {
		v := uint64(d.integer(n, 0, 100))
		s.Resources.MemorySwappiness = &v
	},
	"oom_kill_disable": func(d *decoder, n *tree.Node, s *draft) { s.Resources.OOMKillDisable = d.boolean(n) },
	"pids_limit": func(d *decoder, n *tree.Node, s *draft) {
		s.Resources.Pids = d.integer(n, -1, math.MaxInt64)
		s.both("pids", n)
	},

	"depends_on":  func(d *decoder, n *tree.Node, s *draft) { s.DependsOn = d.dependsOn(n) },
	"restart":     func(d *decoder, n *tree.Node, s *draft) { s.restart = n },
	"healthcheck": func(d *decoder, n *tree.Node, s *draft) { s.HealthCheck = d.healthCheck(n) },
	"logging":     func(d *decoder, n *tree.Node, s *draft) { d.logging(n, &s.Logging) },
	"scale":       func(d *decoder, n *tree.Node, s *draft) { s.scale = n },
	"deploy": func(d *decoder, n *tree.Node, s *draft) {
		object(d, n, deployFields, &s.deploy)
		s.Deploy = &s.deploy.Deploy
	},
	"develop": func(d *decoder, n *tree.Node, s *draft) {
		var v develop
		object(d, n, developFields, &v)
		s.Develop = append([]Watch{}, v.watch...)
	},
	"pre_start":          func(d *decoder, n *tree.Node, s *draft) { s.PreStart = d.hooks(n, preStartFields) },
	"post_start":         func(d *decoder, n *tree.Node, s *draft) { s.PostStart = d.hooks(n, execFields) },
	"pre_stop":           func(d *decoder, n *tree.Node, s *draft) { s.PreStop = d.hooks(n, execFields) },
	"pull_refresh_after": func(d *decoder, n *tree.Node, s *draft) { d.str(n) },
}

// both notes the node of a key that deploy.resources can say too.
func (s *draft) both(what string, n *tree.Node) {
	if s.flat == nil {
		s.flat = map[string]*tree.Node{}
	}
	s.flat[what] = n
}

func (d *decoder) service(key, n *tree.Node) *draft {
	s := &draft{Service: Service{Name: key.Value, Replicas: 1}, key: key, node: n}
	d.checkName(key, "service")
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return s
	}
	d.owner = owner{"services", key.Value}
	object(d, n, serviceFields, s)
	s.Extensions = extensions(n)
	s.Service.Restart = d.restartPolicy(s)
	if s.restart != nil {
		s.RestartText = s.restart.Value
	}
	d.resources(s)
	s.ownImage()
	d.replicas(s)
	d.checkImage(s)
	if b := s.Build; b != nil && s.Platform != "" && len(b.Platforms) > 0 && !slices.Contains(b.Platforms, s.Platform) {
		at := n.Get("build").Pair("platforms").Key
		d.inconsistent(CodeConflict, at, fmt.Sprintf("%s: the image is not built for %s, the platform that the service runs on", at.Path, s.Platform), "add "+s.Platform)
	}
	return s
}

// checkImage refuses a service that nothing can be started from.
func (d *decoder) checkImage(s *draft) {
	switch {
	case s.Image != "", s.Provider != nil, s.Build != nil:
	case !s.node.Get("image").IsNull() && s.node.Get("image").Type != tree.String: // reported as that
	default:
		s.noImage = true
	}
}

// checkImages reports the active services that nothing can be started from. What profiles leave
// out may be half a service that others extend.
func (d *decoder) checkImages() {
	for _, name := range sortedKeys(d.project.Services) {
		if s := d.drafts[name]; s.noImage {
			hint := "name the image to run: image: NAME:TAG"
			if isServiceKey(s.Name) {
				hint = misplaced(s.Name)
			}
			d.err(CodeMissing, s.key, fmt.Sprintf("service %q has neither image nor build", s.Name), hint)
		}
	}
}

// checkName refuses names that the language does not allow for keys.
func (d *decoder) checkName(key *tree.Node, what string) {
	if !keyName.MatchString(key.Value) {
		d.err(CodeName, key, fmt.Sprintf("%q is not the name of a %s", key.Value, what), "use letters, digits, dot, - and _")
	}
}

// draftsOf decodes all services; null bodies and bad ones are reported.
func (d *decoder) draftsOf(n *tree.Node) {
	d.drafts = map[string]*draft{}
	if n.IsNull() {
		return
	}
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return
	}
	if !d.spend(valuesOfService*len(n.Pairs), n) {
		return
	}
	// A name may start with x-: only where keys are fixed does that mark an extension.
	for _, p := range n.Pairs {
		d.drafts[p.Key.Value] = d.service(p.Key, p.Value)
	}
}
