package spec

import (
	"math"

	"github.com/stackrun/stack/spec/tree"
)

var blkioFields = fields[BlkIO]{
	"weight":            func(d *decoder, n *tree.Node, b *BlkIO) { b.Weight = d.integer(n, 0, math.MaxUint16) },
	"weight_device":     func(d *decoder, n *tree.Node, b *BlkIO) { b.WeightDevice = deviceRates(d, n, weightFields) },
	"device_read_bps":   func(d *decoder, n *tree.Node, b *BlkIO) { b.ReadBps = deviceRates(d, n, rateFields) },
	"device_read_iops":  func(d *decoder, n *tree.Node, b *BlkIO) { b.ReadIOps = deviceRates(d, n, rateFields) },
	"device_write_bps":  func(d *decoder, n *tree.Node, b *BlkIO) { b.WriteBps = deviceRates(d, n, rateFields) },
	"device_write_iops": func(d *decoder, n *tree.Node, b *BlkIO) { b.WriteIOps = deviceRates(d, n, rateFields) },
}

var rateFields = fields[DeviceRate]{
	"path": func(d *decoder, n *tree.Node, r *DeviceRate) { r.Path = d.str(n) },
	"rate": func(d *decoder, n *tree.Node, r *DeviceRate) { r.Rate = d.bytes(n) },
}

var weightFields = fields[DeviceRate]{
	"path":   rateFields["path"],
	"weight": func(d *decoder, n *tree.Node, r *DeviceRate) { r.Rate = d.integer(n, 0, math.MaxUint16) },
}

func deviceRates(d *decoder, n *tree.Node, f fields[DeviceRate]) []DeviceRate {
	var out []DeviceRate
	for _, it := range d.items(n) {
		var r DeviceRate
		object(d, it, f, &r)
		out = append(out, r)
	}
	return out
}

var credentialFields = fields[CredentialSpec]{
	"config":   func(d *decoder, n *tree.Node, c *CredentialSpec) { c.Config = d.str(n) },
	"file":     func(d *decoder, n *tree.Node, c *CredentialSpec) { c.File = d.str(n) },
	"registry": func(d *decoder, n *tree.Node, c *CredentialSpec) { c.Registry = d.str(n) },
}
