package network

import "context"

// CheckPorts says which of ports cannot be published now, every one of them, and who has it. It binds and frees
// them again; nothing else changes. What is held for holder can be published by it; "" = nothing is. ErrConflict.
func (d *Driver) CheckPorts(ctx context.Context, holder string, ports []Port) error {
	return d.published.Check(holder, ports)
}

// HoldPort binds p for holder, so that nobody else gets it before a sandbox whose SandboxConfig.Holder that is, which takes it over, or ReleasePorts. It says
// which port it is: p's, or of a range one that is free. What holder holds already is held on. Nothing of it outlives the process: who must remember
// which port it is, records it before the sandbox is made.
//
// Errors: ErrConflict, which names the owner, also for what another holder holds; ErrInvalidArgument, an address that the host does not have.
func (d *Driver) HoldPort(_ context.Context, holder string, p Port) (Port, error) {
	return d.published.Hold(holder, p)
}

// ReleasePorts frees what holder holds and no sandbox has taken over.
func (d *Driver) ReleasePorts(_ context.Context, holder string) { d.published.Release(holder) }
