package boot

import (
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/idmap"
	"github.com/stackrun/stack/runtime/proto"
)

// mapOwners has the binds among volumes that are to match the container's user do so: the files of the source's owner are the user's. root is the container's root, detached.
//
// The user is who root's own files say. What is mounted over these comes later, and may name another one: settle refuses that.
//
// Precondition: this thread makes children in the host's pid namespace.
func (c *container) mapOwners(volumes []source, root int) error {
	for i := range volumes {
		s := &volumes[i]
		if !s.MatchUser {
			continue
		}
		if c.matched == nil {
			if c.spec.Process == nil {
				return refuse(s.stage, s.Target, "x-idmap: nobody says who the container's user is")
			}
			who, err := resolveUser(c.self, root, c.spec.Process.User, c.Groups)
			if err != nil {
				if f := (*proto.Failure)(nil); errors.As(err, &f) && f.Detail != "" {
					f.Detail += "; for x-idmap it is to be in the image's own files, or in numbers"
				}
				return err
			}
			c.matched = &idmap.Owner{UID: who.uid, GID: who.gid}
		}
		user := *c.matched
		switch {
		case s.owner == user:
			continue // there is nothing to map
		case s.owner.UID == 0 && user.UID != 0, s.owner.GID == 0 && user.GID != 0:
			// Else that user could make files of root's, with a set-user-ID bit.
			return refuse(s.stage, s.Target, fmt.Sprintf("x-idmap: %s belongs to %d:%d and the container's user is %d:%d, who would make files of root's on the host; give it another owner, or leave x-idmap out", s.Source, s.owner.UID, s.owner.GID, user.UID, user.GID))
		}
		if err := idmap.Map(s.tree, s.owner, user, s.recursive); err != nil {
			return refuse(s.stage, s.Target, "x-idmap: "+s.Source+" cannot be shown as the container's user's: "+err.Error())
		}
	}
	return nil
}

// checkMatched refuses a user who is not the one that binds were matched with.
func (c *container) checkMatched(who *identity) error {
	if c.matched == nil || *c.matched == (idmap.Owner{UID: who.uid, GID: who.gid}) {
		return nil
	}
	return refuse("user", c.spec.Process.User.Username, fmt.Sprintf("x-idmap: it is %d:%d by the image's own /etc/passwd and /etc/group, and %d:%d by what is mounted over them; write the user as numbers", c.matched.UID, c.matched.GID, who.uid, who.gid))
}
