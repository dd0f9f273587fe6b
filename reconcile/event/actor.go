package event

import "golang.org/x/sys/unix"

// Actor is what there is to say of whom an Event is about, for those who tell it on.
type Actor struct {
	ID         string            // of the container or network; the name of what has no id
	Image      string            // of a container: the reference that it was made from
	Labels     map[string]string // of a container, as clients see them. Read only
	StopSignal unix.Signal       // of a container
	Driver     string            // of a network or volume
}
