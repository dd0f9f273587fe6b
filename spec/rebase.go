package spec

import (
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

// base is dir as rebase is to write it for a file of scope sc: relative to that where paths stay relative.
func (l *loader) base(dir string, sc scope) string {
	if !l.in.Raw.Paths {
		return dir
	}
	rel, err := filepath.Rel(sc.dir, dir)
	if err != nil { // both are absolute
		return dir
	}
	return rel
}

// rebase puts dir before the relative paths of a document: those of a file that is
// reached by include or extends are relative to it, not to the project.
func rebase(doc *tree.Node, dir, home string) {
	abs := func(n *tree.Node) {
		if n == nil || n.Kind != tree.Scalar || n.Type != tree.String || n.Value == "" || isRemote(n.Value) || strings.HasPrefix(n.Value, "service:") {
			return
		}
		if p := absolute(dir, n.Value, home); p != n.Value {
			n.Value, n.Interpolated = p, true
		}
	}
	each := func(n *tree.Node, f func(*tree.Node)) {
		switch {
		case n == nil:
		case n.Kind == tree.Sequence:
			for _, it := range n.Items {
				f(it)
			}
		case n.Kind == tree.Scalar:
			f(n)
		}
	}
	values := func(n *tree.Node, f func(*tree.Node)) {
		if n != nil {
			for _, p := range n.Pairs {
				f(p.Value)
			}
		}
	}
	values(doc.Get("services"), func(s *tree.Node) {
		each(s.Get("env_file"), func(n *tree.Node) {
			if n.Kind == tree.Mapping {
				n = n.Get("path")
			}
			abs(n)
		})
		each(s.Get("label_file"), abs)
		each(s.Get("volumes"), func(n *tree.Node) {
			if n.Kind == tree.Scalar {
				rebaseShort(n, dir, home)
			} else if t := n.Get("type"); t != nil && t.Value == "bind" {
				abs(n.Get("source"))
			}
		})
		each(s.Get("security_opt"), func(n *tree.Node) { rebaseProfile(n, dir, home) })
		if e := s.Get("extends"); e != nil {
			abs(e.Get("file"))
		}
		rebaseBuild(s.Get("build"), dir, abs)
		if w := s.Get("develop").Get("watch"); w != nil {
			each(w, func(n *tree.Node) { abs(n.Get("path")) })
		}
	})
	for _, kind := range []string{"configs", "secrets"} {
		values(doc.Get(kind), func(n *tree.Node) { abs(n.Get("file")) })
	}
	values(doc.Get("volumes"), func(n *tree.Node) {
		opts := n.Get("driver_opts")
		if o := opts.Get("o"); o != nil && hasOption(o.Value, "bind") {
			abs(opts.Get("device"))
		}
	})
}

// rebaseBuild does it for a build section. A context that is not said is the directory too.
func rebaseBuild(b *tree.Node, dir string, abs func(*tree.Node)) {
	if b == nil || b.Kind != tree.Mapping {
		abs(b)
		return
	}
	if b.Get("context").IsNull() {
		b.Set(b.At("context"), b.At(dir))
	}
	abs(b.Get("context"))
	for _, k := range []string{"additional_contexts", "ssh"} {
		n := b.Get(k)
		if n == nil {
			continue
		}
		for _, p := range n.Pairs {
			abs(p.Value)
		}
		for _, it := range n.Items {
			if name, value, ok := strings.Cut(it.Value, "="); ok {
				v := it.At(value)
				abs(v)
				it.Value, it.Interpolated = name+"="+v.Value, true
			}
		}
	}
}

func rebaseShort(n *tree.Node, dir, home string) {
	src, rest, ok := strings.Cut(n.Value, ":")
	if !ok || !isPath(src) {
		return
	}
	if src = absolute(dir, src, home); !isPath(src) {
		src = "./" + src // without it the name of a volume
	}
	n.Value, n.Interpolated = src+":"+rest, true
}

func rebaseProfile(n *tree.Node, dir, home string) {
	if p, ok := strings.CutPrefix(n.Value, "seccomp="); ok && p != "unconfined" && p != "builtin" {
		n.Value, n.Interpolated = "seccomp="+absolute(dir, p, home), true
	}
}

// isPath tells the source of a bind from the name of a volume.
func isPath(source string) bool {
	return source != "" && (source[0] == '.' || source[0] == '/' || source[0] == '~')
}

func hasOption(list, want string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(o) == want {
			return true
		}
	}
	return false
}
