package network

import (
	"context"
	"os"

	"github.com/stackrun/stack/network/record"
)

// hear lets the alarm know the namespace ns of r: whole says that nothing of it needs to be looked at. After an error it is looked at each time.
func (d *Driver) hear(r record.Sandbox, ns int, whole bool) error {
	var interfaces []string
	for _, ep := range r.Endpoints {
		interfaces = append(interfaces, ep.Interface)
	}
	return d.alarm.Hear(r.Config.ContainerID, interfaces, ns, whole)
}

// hearAgain is hear of an adopted sandbox.
func (d *Driver) hearAgain(r record.Sandbox) {
	ns, err := os.Open(d.netnsPath(r.Config.ContainerID))
	if err != nil {
		return // its file is gone, which is its problem
	}
	defer ns.Close()
	_ = d.hear(r, int(ns.Fd()), false)
}

// Watch delivers a coalesced hint when something of the networks may have been changed by other hands, and by the Driver too: the
// receiver looks at List and Sandboxes. The channel is closed when ctx ends. ErrNotSupported when this process may not hear of
// containers, or the user has no inotify instance left; List and Sandboxes say what is all the same.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) { return d.alarm.Watch(ctx) }
