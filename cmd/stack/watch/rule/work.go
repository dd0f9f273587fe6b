package rule

import (
	"maps"
	"path"
	"slices"
)

// Change is a path whose content is another one than before.
type Change struct {
	Path string
	Gone bool
	Dir  bool // a directory has come or gone; what is in it are changes of their own
}

// Work is what is to be done for a service.
type Work struct {
	Changed map[string]bool // the files that it is about
	Rebuild bool
	Copy    map[string]Copy // by the path in the container
	Restart bool            // whatever is copied
}

// Copy is something to be copied into the containers, or removed there.
type Copy struct {
	From  string
	Gone  bool
	Dir   bool
	Rules []*Rule // that say so, in the order of the file
}

// Batch is what changes mean, by service.
func (rs Rules) Batch(changes []Change) map[string]*Work {
	all := map[string]*Work{}
	for _, c := range changes {
		for _, r := range rs {
			// A directory is of no interest to what is started, but it is to be there.
			if !r.Matches(c.Path) || c.Dir && !r.Copies() {
				continue
			}
			w := all[r.Service]
			if w == nil {
				w = &Work{Changed: map[string]bool{}, Copy: map[string]Copy{}}
				all[r.Service] = w
			}
			w.add(r, c)
		}
	}
	return all
}

func (w *Work) add(r *Rule, c Change) {
	if r.Copies() {
		r.copy(w.Copy, c)
	}
	if c.Dir {
		return
	}
	w.Changed[c.Path] = true
	w.Rebuild = w.Rebuild || r.Action == Rebuild
	w.Restart = w.Restart || r.Action == Restart
}

// copy adds what becomes of c to all. The target itself is neither made nor removed. Of two rules that lead to one place the later counts, but a file
// that is there counts more than one that is not.
func (r *Rule) copy(all map[string]Copy, c Change) {
	if c.Dir && c.Path == r.Path {
		return
	}
	at := r.At(c.Path)
	have, known := all[at]
	if known && c.Gone && !have.Gone {
		return
	}
	next := Copy{From: c.Path, Gone: c.Gone, Dir: c.Dir, Rules: []*Rule{r}}
	if known && have.From == c.Path && !slices.Contains(have.Rules, r) {
		next.Rules = append(slices.Clone(have.Rules), r)
	}
	all[at] = next
}

// Initial adds to all what the rules of service with initial_sync copy of files.
func (rs Rules) Initial(service string, files []Change, all map[string]Copy) {
	for _, r := range rs {
		if r.Service != service || !r.Initial {
			continue
		}
		for _, c := range files {
			if r.Matches(c.Path) {
				r.copy(all, c)
			}
		}
	}
}

// Add joins later work with w: what comes while a service is worked for is done at once afterwards. The later word on a path counts.
func (w *Work) Add(later *Work) {
	maps.Copy(w.Changed, later.Changed)
	maps.Copy(w.Copy, later.Copy)
	w.Rebuild = w.Rebuild || later.Rebuild
	w.Restart = w.Restart || later.Restart
}

// Consequences are what follows when what is at paths in the container has been copied: a restart, and commands, each once.
func Consequences(all map[string]Copy, paths []string) (restart bool, commands []*Rule) {
	for _, at := range paths {
		c := all[path.Clean(at)]
		if c.Dir {
			continue
		}
		for _, r := range c.Rules {
			switch {
			case r.Action == SyncRestart:
				restart = true
			case r.Action == SyncExec && !slices.Contains(commands, r):
				commands = append(commands, r)
			}
		}
	}
	slices.SortFunc(commands, func(a, b *Rule) int { return a.Index - b.Index })
	return restart, commands
}
