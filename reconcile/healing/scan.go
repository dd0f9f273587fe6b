package healing

import (
	"bytes"
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
)

// views are what records ask for, by project, as long as they stay as they are: reading a large file for each hint would be most of the work.
type views map[string]view

type view struct {
	raw    []byte
	record *wish.Record
	want   *plan.Desired
}

// Scan reads the host once and has those projects healed that seem to need it.
func (d *Healer) Scan(ctx context.Context) error {
	host, err := inventory.ReadHost(ctx, d.drivers, "")
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, c := range host.Containers {
		there[c.ID] = true
	}
	now := views{}
	var damaged []string
	err = d.wishes.Each(func(name string, raw []byte) error {
		v := d.seen[name]
		if !bytes.Equal(v.raw, raw) {
			v = view{raw: bytes.Clone(raw)}
			if v.record, err = wish.Decode(raw); err == nil {
				v.want, err = d.wanted(name, v.record)
			}
			if err != nil {
				damaged = append(damaged, name) // heal says why
				return nil
			}
		}
		now[name] = v
		taken := d.loop.Taken(name)
		if taken && !d.loop.InRound(name) {
			return nil // it is looked at after that
		}
		have := host.Of(name)
		d.keep.Supervised(have)
		pl, _ := plan.Build(v.want, have, healOptions(v.record, v.want))
		if taken {
			d.loop.Interrupt(name, pl)
			return nil
		}
		if v.record.Pass != nil || pl == nil || !pl.Empty() || len(d.roster.Vanished(name, there)) > 0 || anyUnhealthy(have) {
			damaged = append(damaged, name)
		}
		return nil
	})
	d.seen = now
	for _, name := range damaged {
		d.loop.Kick(name)
	}
	return err
}

func anyUnhealthy(have *plan.Observed) bool {
	for _, c := range have.Containers {
		if c.Unhealthy {
			return true
		}
	}
	return false
}
