package plan

import (
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/spec/diag"
)

// checkNames finds containers that are to be made under the name of one that stays: whoever asks for a container by its name has to get one. Precondition: the steps are emitted.
func (b *builder) checkNames() {
	goes := map[string]bool{}
	for _, step := range b.steps {
		if op, ok := step.Op.(DeleteContainer); ok {
			goes[op.ContainerID] = true
		}
	}
	for _, step := range b.steps {
		op, ok := step.Op.(CreateContainer)
		if !ok {
			continue
		}
		if h, taken := b.have.Names[op.Name]; taken {
			b.refuseName(op, "container "+objectid.Short(h.ID)+", which "+owned(h.Project), h.freeName(op.Name))
		}
		for i := range b.have.Containers {
			c := &b.have.Containers[i]
			if itself := !c.OneOff && c.Service == op.Service && c.Replica == op.Replica; c.Name != op.Name || goes[c.ID] || itself {
				continue
			}
			b.refuseName(op, b.holder(c), b.freeName(c))
		}
	}
}

// refuseName says that op cannot be done, since holder has the name.
func (b *builder) refuseName(op CreateContainer, holder, hint string) {
	at := "services." + op.Service
	if b.want.Services[op.Service].ContainerName != "" {
		at += ".container_name"
	}
	b.diags = append(b.diags, &diag.Diagnostic{
		Code: "name-taken", Summary: "the name of a container is already in use by another one",
		Detail: fmt.Sprintf("service %s is to have a container %s, and that is %s", op.Service, op.Name, holder), Hint: hint, Address: at,
	})
}

// holder says which container c is.
func (b *builder) holder(c *ContainerState) string {
	what := fmt.Sprintf("container %s of service %s", objectid.Short(c.ID), c.Service)
	switch {
	case c.OneOff:
		return what + ", made by `stack run`"
	case b.orphaned(c):
		return what + ", which the file does not have"
	}
	return what
}

// otherName is what else can be done about a name that is taken.
const otherName = ", or give this one another container_name"

// freeName says what makes h's name free.
func (h Holder) freeName(name string) string {
	if h.Project == "" {
		return fmt.Sprintf("`docker rm --force %s` removes it%s", name, otherName)
	}
	return fmt.Sprintf("`stack --project-name %s down` removes it%s; with --isolated each directory has names of its own", h.Project, otherName)
}

// freeName says what makes c's name free.
func (b *builder) freeName(c *ContainerState) string {
	switch {
	case c.OneOff:
		return "remove that container" + otherName
	case b.orphaned(c):
		return "`stack up --remove-orphans` removes it, if the service was renamed" + otherName
	case b.want.Services[c.Service] == nil: // of a profile that is not enabled
		return fmt.Sprintf("`stack rm --stop --force %s` removes it%s", c.Service, otherName)
	case b.decided[c.Service] == nil:
		return "bring up " + c.Service + " too, whose container is to be called otherwise"
	}
	return "leave --no-recreate out: the container of " + c.Service + " is to be called otherwise"
}

// orphaned says whether the file does not have c's service, not even in a profile that is not enabled.
func (b *builder) orphaned(c *ContainerState) bool {
	return b.want.Services[c.Service] == nil && !slices.Contains(b.want.Known, c.Service)
}
