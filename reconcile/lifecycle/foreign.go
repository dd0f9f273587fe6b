package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// foreign adds to err, of a start of c, that its image is for other machines than this host, where that is why its program could not be executed.
func (k *Keeper) foreign(ctx context.Context, c *inventory.Container, err error) error {
	var start *runtime.StartError
	if !errors.As(err, &start) || start.Failure.Errno != syscall.ENOEXEC {
		return err
	}
	info, unknown := k.drivers.Images.Resolve(ctx, c.Image, v1.Platform{})
	if unknown != nil { // it is not here any more: the kernel's word has to do
		return err
	}
	host := platform.Host()
	if platform.Rank(host, info.Platform) >= 0 {
		return err
	}
	return fmt.Errorf("%w\n  image %s is for %s and this host is %s: take an image for %s/%s, or have the kernel run such programs by an emulator (binfmt_misc; Debian: qemu-user-static)",
		err, c.Spec.Image, platform.Name(info.Platform), platform.Name(host), host.OS, host.Architecture)
}
