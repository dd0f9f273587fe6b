package runtime

// Spare is the pid of the child that waits for work, 0 when there is none.
func (d *Driver) Spare() int {
	d.spare.mu.Lock()
	defer d.spare.mu.Unlock()
	if d.spare.waiting == nil {
		return 0
	}
	return d.spare.waiting.Pid
}
