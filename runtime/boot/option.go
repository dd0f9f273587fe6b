package boot

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// options are fstab's words sorted by who understands them.
type options struct {
	bind      bool
	recursive bool   // rbind: with all mounts below
	set, clr  uint64 // MOUNT_ATTR_* of this mount
	rset      uint64 // MOUNT_ATTR_* of this mount and of all below
	rclr      uint64
	spread    uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE; 0 = not said
	rspread   bool
	data      []string // for the file system itself: "size=64m", "newinstance"
}

type attribute struct {
	bits  uint64
	clear bool
}

// Of https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-mount-options.
var attributes = map[string]attribute{
	"ro":            {unix.MOUNT_ATTR_RDONLY, false},
	"rw":            {unix.MOUNT_ATTR_RDONLY, true},
	"nosuid":        {unix.MOUNT_ATTR_NOSUID, false},
	"suid":          {unix.MOUNT_ATTR_NOSUID, true},
	"nodev":         {unix.MOUNT_ATTR_NODEV, false},
	"dev":           {unix.MOUNT_ATTR_NODEV, true},
	"noexec":        {unix.MOUNT_ATTR_NOEXEC, false},
	"exec":          {unix.MOUNT_ATTR_NOEXEC, true},
	"nodiratime":    {unix.MOUNT_ATTR_NODIRATIME, false},
	"diratime":      {unix.MOUNT_ATTR_NODIRATIME, true},
	"nosymfollow":   {unix.MOUNT_ATTR_NOSYMFOLLOW, false},
	"symfollow":     {unix.MOUNT_ATTR_NOSYMFOLLOW, true},
	"noatime":       {unix.MOUNT_ATTR_NOATIME, false},
	"strictatime":   {unix.MOUNT_ATTR_STRICTATIME, false},
	"relatime":      {unix.MOUNT_ATTR_RELATIME, false},
	"atime":         {unix.MOUNT_ATTR_RELATIME, false}, // the kernel's default
	"norelatime":    {unix.MOUNT_ATTR_STRICTATIME, false},
	"nostrictatime": {unix.MOUNT_ATTR_RELATIME, false},
}

var propagations = map[string]uint64{
	"shared":     unix.MS_SHARED,
	"slave":      unix.MS_SLAVE,
	"private":    unix.MS_PRIVATE,
	"unbindable": unix.MS_UNBINDABLE,
}

// ignored are words that say nothing to the kernel.
var ignored = map[string]bool{"defaults": true, "async": true, "": true}

// unknown are words of fstab and of the runtime-spec that boot does not do; passed on they would
// become an obscure fault of the file system.
var unknown = map[string]bool{"idmap": true, "ridmap": true, "tmpcopyup": true, "remount": true, "mand": true, "silent": true}

func parseOptions(words []string) (options, error) {
	var o options
	for _, w := range words {
		if ignored[w] {
			continue
		}
		if unknown[w] {
			return o, fmt.Errorf("mount option %q is not supported", w)
		}
		switch w {
		case "bind":
			o.bind = true
			continue
		case "rbind":
			o.bind, o.recursive = true, true
			continue
		}
		if a, ok := attributes[w]; ok {
			apply(a, &o.set, &o.clr)
			continue
		}
		if p, ok := propagations[w]; ok {
			o.spread, o.rspread = p, false
			continue
		}
		if rest, ok := strings.CutPrefix(w, "r"); ok {
			if a, ok := attributes[rest]; ok {
				apply(a, &o.rset, &o.rclr)
				continue
			}
			if p, ok := propagations[rest]; ok {
				o.spread, o.rspread = p, true
				continue
			}
		}
		o.data = append(o.data, w)
	}
	return o, nil
}

func apply(a attribute, set, clr *uint64) {
	const atime = unix.MOUNT_ATTR__ATIME
	switch {
	case a.clear:
		*clr |= a.bits
		*set &^= a.bits
	case a.bits&^atime == 0: // one of the atime values, which exclude each other; relatime is 0
		*set = *set&^atime | a.bits
		*clr |= atime // mount_setattr(2): atime is changed only when all its bits are cleared too
	default:
		*set |= a.bits
		*clr &^= a.bits
	}
}

// setAttributes applies o to the detached mount fd.
func (o *options) setAttributes(fd int) error {
	if o.set|o.clr|o.spread != 0 {
		attr := unix.MountAttr{Attr_set: o.set, Attr_clr: o.clr}
		flags := uint(unix.AT_EMPTY_PATH)
		if !o.rspread {
			attr.Propagation = o.spread
		}
		if attr != (unix.MountAttr{}) {
			if err := unix.MountSetattr(fd, "", flags, &attr); err != nil {
				return err
			}
		}
	}
	attr := unix.MountAttr{Attr_set: o.rset, Attr_clr: o.rclr}
	if o.rspread {
		attr.Propagation = o.spread
	}
	if attr == (unix.MountAttr{}) {
		return nil
	}
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
}
