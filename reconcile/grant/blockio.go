package grant

import (
	"errors"
	"fmt"
	"io/fs"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
)

// The range of a weight, of a container and for one device: docker's, and of the kernel's blkio.weight.
const (
	minBlkIOWeight = 10
	maxBlkIOWeight = 1000
)

// BlockIO looks up the devices that b names. nil gives nil.
func BlockIO(b *plan.BlkIO) (*specs.LinuxBlockIO, error) {
	if b == nil {
		return nil, nil
	}
	out := &specs.LinuxBlockIO{}
	if b.Weight != 0 {
		if err := checkWeight(int64(b.Weight)); err != nil {
			return nil, err
		}
		out.Weight = new(b.Weight)
	}
	for _, d := range b.WeightDevice {
		if err := checkWeight(d.Rate); err != nil {
			return nil, err
		}
		major, minor, err := blockDevice(d.Path)
		if err != nil {
			return nil, err
		}
		w := specs.LinuxWeightDevice{Weight: new(uint16(d.Rate))}
		w.Major, w.Minor = major, minor
		out.WeightDevice = append(out.WeightDevice, w)
	}
	for _, t := range []struct {
		from []plan.DeviceRate
		into *[]specs.LinuxThrottleDevice
	}{{b.ReadBps, &out.ThrottleReadBpsDevice}, {b.WriteBps, &out.ThrottleWriteBpsDevice}, {b.ReadIOps, &out.ThrottleReadIOPSDevice}, {b.WriteIOps, &out.ThrottleWriteIOPSDevice}} {
		for _, d := range t.from {
			major, minor, err := blockDevice(d.Path)
			if err != nil {
				return nil, err
			}
			r := specs.LinuxThrottleDevice{Rate: uint64(d.Rate)}
			r.Major, r.Minor = major, minor
			*t.into = append(*t.into, r)
		}
	}
	return out, nil
}

func checkWeight(n int64) error {
	if n < minBlkIOWeight || n > maxBlkIOWeight {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("a weight of %d for block devices: expected %d to %d", n, minBlkIOWeight, maxBlkIOWeight))
	}
	return nil
}

func blockDevice(path string) (major, minor int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, &fs.PathError{Op: "use", Path: path, Err: errdefs.With(errdefs.ErrInvalidArgument, errors.New("it is not a block device"))}
	}
	return int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), nil
}
