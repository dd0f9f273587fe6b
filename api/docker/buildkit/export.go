package buildkit

import (
	"fmt"
	"strings"

	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// export is what is made of the result: an image with these names, or nothing.
type export struct {
	image bool
	names []string
}

func refused(format string, args ...any) error {
	return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot build: "+format, args...))
}

func invalid(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot build: "+format, args...))
}

// exportOf reads what a client wants to have.
func exportOf(req *message.Solve) (export, error) {
	var e export
	switch {
	case req.AsksExporters:
		return e, refused("that the client is asked what to export is not supported")
	case len(req.Exporters) > 1:
		return e, refused("several outputs are not supported: build once for each")
	case len(req.Exporters) == 0:
		return e, nil
	}
	x := req.Exporters[0]
	switch x.Type {
	case "moby", "image", "docker":
	default:
		return e, refused("output type=%s is not supported: an image is made, and nothing else. `docker create` and `docker cp`, or `docker save`, take files out of it", x.Type)
	}
	e.image = true
	for name, value := range x.Attrs {
		if value == "" {
			continue
		}
		switch name {
		case "name":
			for one := range strings.SplitSeq(value, ",") {
				ref, err := reference.Parse(one)
				if err != nil {
					return e, invalid("invalid name of the image: %w", err)
				}
				if ref.HasDigest() {
					return e, invalid("%s: a digest is not given, it is found out", one)
				}
				e.names = append(e.names, one)
			}
		case "push": // of moby: then buildx pushes by itself, as it does with docker
			if x.Type != "moby" && value != "false" {
				return e, refused("push=%s is not supported here: push the image afterwards", value)
			}
		case "unpack", "prefer-image-digest", "context", "load": // an image is always unpacked, and here
		case "store":
			if value != "true" {
				return e, refused("store=%s is not supported: an image is kept", value)
			}
		default:
			return e, refused("%s=%s of the output is not supported", name, value)
		}
	}
	return e, nil
}
