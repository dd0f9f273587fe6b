package volume

import (
	"fmt"
	"os"
)

// Apart says whether c is a file system that only its containers mount: its Path shows nothing of it.
func Apart(c Config) bool {
	o, err := parseOptions(c)
	return err == nil && o.fs != nil
}

// Single says whether each container that mounts c would have another file system: of what kind it is; "" = no.
func Single(c Config) string {
	o, err := parseOptions(c)
	switch {
	case err != nil:
	case o.tmpfs:
		return "tmpfs"
	case o.fs != nil && elsewhere[o.fs.kind].exclusive:
		return o.fs.kind
	}
	return ""
}

// Check says why a volume c could not be made or mounted; nil when it could. It looks at the host and changes nothing.
func Check(c Config) error {
	if err := checkName(c.ID); err != nil {
		return err
	}
	o, err := parseOptions(c)
	if err != nil {
		return err
	}
	if o.fs != nil {
		return o.fs.check()
	}
	if o.device == "" {
		return nil
	}
	if _, err := os.Stat(o.device); err != nil {
		return fmt.Errorf("its device: %w", err)
	}
	return nil
}
