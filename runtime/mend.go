package runtime

import "context"

// Mend puts back what can be put back while container id runs: its cgroups and their limits. What State.Problem still says afterwards
// needs a restart. Not running = success. Idempotent.
func (d *Driver) Mend(ctx context.Context, id string) (State, error) {
	unlock, c, _, err := d.door(ctx, id)
	if err != nil {
		return State{}, err
	}
	defer unlock()
	return d.state(id, c)
}
