package spec

import (
	"context"
	"path"
	"strings"

	"github.com/stackrun/stack/spec/redact"
	"github.com/stackrun/stack/spec/tree"
)

// Fetcher brings the files of remote references, those of git repositories and registries. Locate and Load ask it once per
// use; what bounds time and size is its affair.
type Fetcher interface {
	// Fetch brings what ref names. file is its Compose file, root the directory of all that came with it; both are
	// absolute and can be read through Input.FS. The error says why in a clause, without ref.
	Fetch(ctx context.Context, ref string) (file, root string, err error)
}

// IsRemote says whether a reference to a file is one to a git repository or a registry.
func IsRemote(ref string) bool { return isRemote(ref) }

// isRemote says whether a reference is for git or a registry.
func isRemote(ref string) bool {
	return strings.Contains(ref, "://") || strings.HasPrefix(ref, "git@") || strings.HasPrefix(ref, "github.com/")
}

// fileOf is the file that n names by include or extends: fetched when it is remote, else relative to dir. A file that was
// fetched names none beyond what was fetched with it: who wrote it is not who runs it.
func (l *loader) fileOf(n *tree.Node, what, dir string) (string, bool) {
	if isRemote(n.Value) {
		if l.in.Remote == nil {
			l.err(CodeRefused, n, what+": remote references are not fetched here", "use a local file")
			return "", false
		}
		file, root, err := l.in.Remote.Fetch(l.ctx, n.Value)
		if err != nil {
			l.err(CodeFetch, n, redact.URLs(n.Value)+": "+err.Error(), "")
			return "", false
		}
		l.fetched = append(l.fetched, root)
		return file, true
	}
	file := absolute(dir, n.Value, l.env["HOME"])
	return file, l.mayRead(n, what, file)
}

// mayRead says whether n's file may name file, and reports it if not.
func (l *loader) mayRead(n *tree.Node, what, file string) bool {
	for _, root := range l.fetched {
		if inDir(root, n.File) && !inDir(root, file) {
			l.err(CodeRefused, n, what+": "+file+" is outside of what was fetched", "a remote file may only name files beside it")
			return false
		}
	}
	return true
}

// inDir says whether file is in the directory dir, or below it.
func inDir(dir, file string) bool {
	rest, ok := strings.CutPrefix(path.Clean(file), dir)
	return ok && (rest == "" || rest[0] == '/')
}
