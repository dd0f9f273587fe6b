package planning

import (
	"fmt"
	"os"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// elsewhere warns where p takes over what another directory's file of the same project name has: two checkouts of a repository, say, or two
// directories called app. A directory that was moved or renamed is not there any more, and so is no other.
func (pn *Planner) elsewhere(p *spec.Project) (diag.List, error) {
	before, err := pn.wishes.Known(p.Name)
	if err != nil || before == nil || before.Dir == p.Dir || len(before.Files) == 0 {
		return nil, err
	}
	there, err := os.Stat(before.Dir)
	if err != nil {
		return nil, nil // moved, or nothing that this process may look at: in doubt no alarm
	}
	if here, err := os.Stat(p.Dir); err == nil && os.SameFile(here, there) {
		return nil, nil
	}
	if _, err := os.Stat(before.Files[0]); err != nil {
		return nil, nil
	}
	return diag.List{{
		Severity: diag.Warning, Code: "elsewhere", Summary: "another directory has a project of this name",
		Detail:  fmt.Sprintf("project %s was brought up from %s before; the file in %s has the same name, and its containers, networks and volumes are the same ones", p.Name, before.Dir, p.Dir),
		Hint:    "to have both, use --isolated in one (STACK_ISOLATED=1 in its .env), or give one another name: -p NAME, COMPOSE_PROJECT_NAME, or name: at the top of the file",
		Address: "name",
	}}, nil
}
