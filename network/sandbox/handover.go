package sandbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/hostport"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
)

// Handover lets container to take over the names and published ports of container from: every new connection, over the
// host's addresses, loopback and from containers, goes to it, and none fails on the way, since the firewall's maps change in one
// transaction. Connections that are there stay with from until they or it end: conntrack keeps their translation, and the proxy of
// [::1] its pairs. Ports that from has and to does not want stay with from; those that only to wants are published now.
//
// Idempotent, also after a crash in its middle: then the next Driver finishes it. from without a sandbox is success: there
// is nobody to relieve.
//
// Errors: ErrNotFound when to has no sandbox; ErrConflict when a port that from does not have is taken. Nothing has changed then.
func (sb *Keeper) Handover(ctx context.Context, from, to string) error {
	if from == to {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot hand the ports of container %s over: it cannot succeed itself", objectid.Short(from)))
	}
	// In one order for every pair, so that two of them cannot wait for each other.
	for _, id := range []string{min(from, to), max(from, to)} {
		defer sb.lock(id)()
	}
	before, after := sb.book.find(from), sb.book.find(to)
	if after == nil {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot hand ports over to container %s: it has no network", objectid.Short(to)))
	}
	if !after.rec.Waiting && !after.rec.Relieved && (before == nil || before.rec.Relieved) {
		return nil
	}
	if before == nil {
		before = &box{} // nobody, who has nothing
	}
	if err := sb.move(before, after); err != nil {
		return fmt.Errorf("cannot hand the ports of %s over to its successor: %w", before.rec.Config.Name(), err)
	}
	return nil
}

// move is Handover. Preconditions: both locks are held, and before.rec is zero when there is no such sandbox.
func (sb *Keeper) move(before, after *box) (err error) {
	oldRec, newRec := before.rec, after.rec
	newRec.Waiting, newRec.Relieved, newRec.Gave = false, false, nil
	newRec.Turn = max(oldRec.Turn, newRec.Turn) + 1
	newRec.Ports = slices.Clone(after.rec.Ports)
	ports := slices.Clone(after.ports)

	var taken []int // of before's ports
	var fresh []*hostport.Reservation
	defer func() {
		if err != nil {
			for _, r := range fresh {
				r.Close()
			}
		}
	}()
	if sb.networks.Reachable(newRec.Endpoints) {
		inherited := publish.Inherit(sb.portsOf(newRec), oldRec.Ports)
		for i, p := range sb.portsOf(newRec) {
			switch k := inherited[i]; {
			case slices.ContainsFunc(after.rec.Ports, p.Covers):
				continue // bound when it was set up
			case k >= 0:
				p.HostPort, p.HostPortEnd = oldRec.Ports[k].HostPort, 0
				ports = append(ports, before.ports[k])
				taken = append(taken, k)
			default:
				r, err := sb.published.BindFor(newRec.Config.Holder, p) // from has gone since, with what it held
				if err != nil {
					return err
				}
				fresh = append(fresh, r)
				ports = append(ports, r)
				p.HostPort, p.HostPortEnd = r.Port, 0
			}
			newRec.Ports = append(newRec.Ports, p)
		}
	}
	var kept []*hostport.Reservation
	oldRec.Ports = nil
	for k, p := range before.rec.Ports {
		if slices.Contains(taken, k) {
			oldRec.Gave = append(slices.Clip(oldRec.Gave), p)
			continue
		}
		oldRec.Ports = append(oldRec.Ports, p)
		kept = append(kept, before.ports[k])
	}
	oldRec.Relieved, oldRec.Waiting = true, false

	known := before.rec.Config.ContainerID != ""
	// The successor's record first: a Driver that finds only that one written finishes the other (finishHandovers).
	if err := sb.records.PutSandbox(newRec); err != nil {
		return err
	}
	was := append(sb.forwards(before.rec), sb.forwards(after.rec)...)
	be := sb.forwards(newRec)
	if known {
		be = append(be, sb.forwards(oldRec)...)
	}
	if err := sb.fw.MoveForwards(was, be); err != nil {
		sb.records.PutSandbox(after.rec) // the next call tries again; a failure here is put right by the next Driver
		return err
	}
	sb.book.mu.Lock()
	after.rec, after.ports = newRec, ports
	if known {
		before.rec, before.ports = oldRec, kept
	}
	sb.book.mu.Unlock()
	if err := sb.servePorts(after); err != nil {
		sb.book.lacks(after, err) // the firewall forwards, and that is nearly all of it
	}
	sb.networks.Announce(newRec) // before the other goes, so that the name never is without an address
	if !known {
		return nil
	}
	sb.networks.Silence(oldRec)
	return sb.records.PutSandbox(oldRec)
}

// waits says whether c, whose sandbox is being made, is to wait for a predecessor.
func (sb *Keeper) waits(c definition.SandboxConfig) bool {
	sb.book.mu.Lock()
	defer sb.book.mu.Unlock()
	old := sb.book.all[c.Succeeds]
	return c.Succeeds != c.ContainerID && old != nil && !old.rec.Relieved
}

// forgetHandedOver ends what the proxies of the ports that r gave away still carry to it.
func (sb *Keeper) forgetHandedOver(r record.Sandbox) {
	if len(r.Gave) == 0 {
		return
	}
	sb.book.mu.Lock()
	defer sb.book.mu.Unlock()
	for _, s := range sb.book.all {
		for _, held := range s.ports {
			for _, ep := range r.Endpoints {
				if held != nil {
					held.Forget(ep.Addr4.Addr(), ep.Addr6.Addr())
				}
			}
		}
	}
}
