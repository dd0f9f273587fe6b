package e2e

import (
	"strings"
	"testing"
)

// TestOneContainerOfOneName: no up makes a second container of a name, of its own project or of another, and what refuses it says where the name stands and what
// frees it. Nothing is changed by then.
func TestOneContainerOfOneName(t *testing.T) {
	const file = "services:\n  data:\n    image: busybox\n    init: true\n    command: sleep 1000\n    container_name: the-db\n"
	renamed := strings.Replace(file, "data:", "db:", 1)
	count := func(p *project, n int) {
		t.Helper()
		if all := p.ps(); len(all) != n {
			t.Errorf("%s has %d containers, expected %d: %v", p.name, len(all), n, all)
		}
	}
	p := compose(t, "onename", file)
	second := newProject(t, p.host, "secondname", map[string]string{"compose.yaml": file})
	p.up()
	before := p.one("the-db")

	p.write("compose.yaml", renamed)
	p.fails(1, []string{"compose.yaml:6:21: error: the name of a container is already in use", "of service data, which the file does not have", "stack up --remove-orphans"}, "up", "--detach")
	equal(t, "what ran", p.one("the-db").ID, before.ID)
	count(p, 1)
	p.ok("up", "--detach", "--remove-orphans")
	equal(t, "the service of the name", p.one("the-db").Service, "db")
	count(p, 1)

	second.fails(1, []string{"compose.yaml:6:21: error: ", "project \"onename\"", "stack --project-name onename down"}, "up", "--detach")
	second.fails(1, []string{"compose.yaml:6:21: error: "}, "plan")
	count(second, 0)
	if all := second.ok("ls", "--all"); strings.Contains(all, "secondname") {
		t.Errorf("an up that was refused left a project: %s", all)
	}
	p.ok("down")
	second.up()
}
