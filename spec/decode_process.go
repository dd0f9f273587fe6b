package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/reference"
	"github.com/stackrun/stack/spec/tree"
)

// envFile is one entry of env_file.
type envFile struct {
	path     string
	required bool
	raw      bool
	node     *tree.Node
}

var envFileFields = fields[envFile]{
	"path":     func(d *decoder, n *tree.Node, e *envFile) { e.path = d.str(n) },
	"required": func(d *decoder, n *tree.Node, e *envFile) { e.required = d.boolean(n) },
	"format":   func(d *decoder, n *tree.Node, e *envFile) { e.raw = d.str(n) != "" && d.oneOf(n, "raw") == "raw" },
}

func (d *decoder) envFiles(n *tree.Node) []envFile {
	var out keyedList[envFile]
	for _, it := range d.many(n) {
		e := envFile{required: true, node: it}
		if it.Kind == tree.Mapping {
			object(d, it, envFileFields, &e)
			if e.path == "" {
				d.err(CodeMissing, it, it.Path+" has no path", "")
				continue
			}
		} else if e.path = d.str(it); e.path == "" {
			if it.Type == tree.String {
				d.bad(it, "the path is empty", "name a file")
			}
			continue
		}
		e.path = d.path(e.path)
		out.put(e.path, e)
	}
	return out.all
}

// path makes a path of the host absolute.
func (d *decoder) path(p string) string {
	if d.in.Raw.Paths {
		return p
	}
	return d.onHost(p)
}

// onHost is where p is, whatever is shown of it.
func (d *decoder) onHost(p string) string { return located(d.in.Dir, p, d.env["HOME"]) }

func (d *decoder) image(n *tree.Node) string {
	s := d.str(n)
	if s == "" || strings.HasPrefix(s, "sha256:") {
		return s
	}
	if _, err := reference.Parse(s); err != nil {
		d.unfit(n, fmt.Sprintf("%q is not an image reference", s), "write [REGISTRY/]NAME[:TAG][@DIGEST] in lower case")
	}
	return s
}

func (d *decoder) platform(n *tree.Node) string {
	s := d.str(n)
	if parts := strings.Split(s, "/"); s != "" && (len(parts) > 3 || slices.Contains(parts, "")) {
		d.unfit(n, fmt.Sprintf("%q is not a platform", s), "write os/arch or os/arch/variant, such as linux/amd64")
	}
	return s
}

func (d *decoder) pullPolicy(n *tree.Node) string {
	s := d.str(n)
	switch s {
	case "if_not_present":
		return "missing"
	case "always", "never", "missing", "build", "daily", "weekly":
		return s
	case "refresh":
		return "always"
	}
	if every, ok := strings.CutPrefix(s, "every_"); ok {
		d.duration(&tree.Node{Value: every, Path: n.Path, File: n.File, Line: n.Line, Column: n.Column, Interpolated: true})
		return s
	}
	return d.oneOf(n, "always", "never", "missing", "build", "daily", "weekly", "every_<duration>")
}

// containerName: docker compose looks only for the form of a name anywhere in the text, so that "${PREFIX}-db" can be shown
// where PREFIX is not set.
func (d *decoder) containerName(n *tree.Node) string {
	const form = "use two or more letters, digits, _ . and -, starting with a letter or digit"
	s := d.str(n)
	switch {
	case n.Kind != tree.Scalar || n.Type != tree.String:
	case s == "":
		d.err(CodeName, n, "the name of the container is empty", "remove container_name, or give it a value")
	case !containerNameWithin.MatchString(s):
		d.err(CodeName, n, fmt.Sprintf("%q is not the name of a container", s), form)
	case !containerName.MatchString(s):
		d.refuse(CodeName, n, fmt.Sprintf("%q is not the name of a container", s), form)
		if d.in.Purpose != ToShow {
			return "" // no container has it
		}
	}
	return s
}

func (d *decoder) hostname(n *tree.Node) string {
	s := d.str(n)
	// sethostname(2) takes 64 bytes (HOST_NAME_MAX).
	if len(s) > 64 || strings.ContainsAny(s, " \t\n/") {
		d.unfit(n, fmt.Sprintf("%q is not a host name", s), "use at most 64 letters, digits, dot and -")
	}
	return s
}

// distinct is a list in which docker compose takes a duplicate for a mistake.
func (d *decoder) distinct(n *tree.Node, read func(*tree.Node) string) []string {
	var out []string
	seen := map[string]bool{}
	for _, it := range d.items(n) {
		s := read(it)
		if seen[s] {
			d.err(CodeDuplicate, it, fmt.Sprintf("%s: %q is there twice", n.Path, s), "remove one")
			continue
		}
		seen[s] = true
		out = append(out, s)
	}
	return out
}

// signals are the names of signal(7), without SIG.
var signals = []string{"HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"}

func (d *decoder) signal(n *tree.Node) string {
	s := d.str(n)
	if v, err := strconv.Atoi(s); err == nil {
		if v < 1 || v > 64 {
			d.unfit(n, fmt.Sprintf("%d is not a signal", v), "signals are 1 to 64")
		}
		return s
	}
	bare := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if s != "" && !slices.Contains(signals, bare) && !strings.HasPrefix(bare, "RTMIN") && !strings.HasPrefix(bare, "RTMAX") {
		d.unfit(n, fmt.Sprintf("%q is not a signal", s), "write a name such as SIGTERM, or a number")
	}
	return s
}

func (d *decoder) sysctls(n *tree.Node) map[string]string {
	m := d.stringMap(n)
	for _, e := range d.entries(n) {
		if !namespaced(e.key) {
			d.refuse(CodeValue, e.at, fmt.Sprintf("%s: %s is not a sysctl of a namespace: it would change the host", n.Path, e.key), "only net.*, fs.mqueue.* and the System V IPC ones of kernel.* can be set")
		}
	}
	return m
}

// namespaced says whether a sysctl belongs to a network or IPC namespace, see
// network_namespaces(7) and ipc_namespaces(7).
func namespaced(key string) bool {
	switch key {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.domainname":
		return true
	}
	// A "/" would stand for a dot, and "//" lead to the host's.
	return strings.HasPrefix(key, "net.") || strings.HasPrefix(key, "fs.mqueue.") && !strings.Contains(key, "/")
}

// rlimits are the resources of setrlimit(2).
var rlimits = []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}

var ulimitFields = fields[Ulimit]{
	"soft": func(d *decoder, n *tree.Node, u *Ulimit) { u.Soft = d.integer(n, -1, math.MaxInt64) },
	"hard": func(d *decoder, n *tree.Node, u *Ulimit) { u.Hard = d.integer(n, -1, math.MaxInt64) },
}

func (d *decoder) ulimits(n *tree.Node) map[string]Ulimit {
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return nil
	}
	m := make(map[string]Ulimit, len(n.Pairs))
	for _, p := range n.Pairs {
		if !slices.Contains(rlimits, p.Key.Value) {
			d.refuse(CodeUnknownKey, p.Key, fmt.Sprintf("%q is not a resource limit", p.Key.Value), suggest(p.Key.Value, rlimits))
		}
		var u Ulimit
		if p.Value.Kind == tree.Mapping {
			for _, k := range []string{"soft", "hard"} {
				if p.Value.Get(k).IsNull() {
					d.err(CodeMissing, p.Value, fmt.Sprintf("%s has no %s", p.Value.Path, k), "write both soft and hard")
				}
			}
			object(d, p.Value, ulimitFields, &u)
			if len(p.Value.Pairs) > 1 && u.Hard >= 0 && (u.Soft > u.Hard || u.Soft < 0) {
				d.refuse(CodeConflict, p.Value, fmt.Sprintf("%s: soft %d is above hard %d", p.Value.Path, u.Soft, u.Hard), "")
			}
		} else {
			u.Soft = d.integer(p.Value, -1, math.MaxInt64)
			u.Hard = u.Soft
		}
		m[p.Key.Value] = u
	}
	return m
}

// variables joins env_file and environment of a selected service: later files win,
// environment wins over all; a name without value takes the project's.
func (d *decoder) variables(s *draft) {
	env := map[string]string{}
	var own []entry
	if s.environment != nil {
		own = d.entries(s.environment)
	}
	if d.in.Raw.EnvFiles {
		for _, f := range s.envFiles {
			e := EnvFile{Path: f.path, Required: f.required}
			if f.raw {
				e.Format = "raw"
			}
			s.EnvFiles = append(s.EnvFiles, e)
		}
		s.envFiles = nil
	}
	if len(s.envFiles) > 0 {
		said := map[string]string{}
		for _, e := range own {
			if !e.null {
				said[e.key] = e.value
			}
		}
		lookup := func(name string) (string, bool) {
			if v, ok := d.lookup(name); ok {
				return v, true
			}
			if v, ok := said[name]; ok {
				return v, true
			}
			v, ok := env[name]
			return v, ok
		}
		for _, f := range s.envFiles {
			file := d.onHost(f.path)
			if !f.required && !exists(d.in.FS, file) {
				continue
			}
			list, ok := d.readEnvFile(file, f.node, f.raw, "create it, or say required: false", lookup)
			if !ok {
				continue
			}
			for _, e := range list {
				env[e.Key] = e.Value
			}
			d.trail.fromFile("services."+s.Name+".environment", "env_file", file, f.node, list)
		}
	}
	for _, e := range own {
		if e.null {
			v, ok := d.lookup(e.key)
			if !ok {
				delete(env, e.key)
				s.Unset = append(s.Unset, e.key)
				d.trail.unset(s.environment.Path, e.key, e.at)
				continue
			}
			e.value = v
			d.trail.taken(e.at, e.key, v, d.definedAt(e.key))
		}
		env[e.key] = e.value
		d.source(s.environment.Path+"."+e.key, e.at)
	}
	if len(env) > 0 {
		s.Environment = env
	}
}

// labelSet joins label_file and labels.
func (d *decoder) labelSet(s *draft) {
	labels := map[string]string{}
	for _, f := range s.labelFiles {
		file := d.onHost(d.str(f))
		list, ok := d.readEnvFile(file, f, false, "", d.lookup)
		if !ok {
			continue
		}
		s.LabelFiles = append(s.LabelFiles, d.path(d.str(f)))
		for _, e := range list {
			labels[e.Key] = e.Value
		}
		d.trail.fromFile("services."+s.Name+".labels", "label_file", file, f, list)
	}
	if s.labels != nil {
		for _, e := range d.entries(s.labels) {
			labels[e.key] = e.value
			d.source(s.labels.Path+"."+e.key, e.at)
			if strings.HasPrefix(e.key, "com.docker.compose.") {
				d.note(e.at, fmt.Sprintf("label %s: the prefix com.docker.compose is kept for the tool's own labels", e.key), "")
			}
		}
	}
	if len(labels) > 0 {
		s.Labels = labels
	}
}
