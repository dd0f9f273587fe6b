package sandbox

import (
	"os"

	"github.com/stackrun/stack/network/record"
)

// hear lets the alarm know the namespace ns of r: whole says that nothing of it needs to be looked at. After an error it is looked at each time.
func (sb *Keeper) hear(r record.Sandbox, ns int, whole bool) error {
	var interfaces []string
	for _, ep := range r.Endpoints {
		interfaces = append(interfaces, ep.Interface)
	}
	return sb.alarm.Hear(r.Config.ContainerID, interfaces, ns, whole)
}

// hearAgain is hear of an adopted sandbox.
func (sb *Keeper) hearAgain(r record.Sandbox) {
	ns, err := os.Open(sb.book.Path(r.Config.ContainerID))
	if err != nil {
		return // its file is gone, which is its problem
	}
	defer ns.Close()
	_ = sb.hear(r, int(ns.Fd()), false)
}
