package volume

import (
	"fmt"
	"os"
)

// Check says why a volume c could not be made or mounted; nil when it could. It looks at the host and changes nothing.
func Check(c Config) error {
	if err := checkName(c.ID); err != nil {
		return err
	}
	o, err := parseOptions(c)
	if err != nil {
		return err
	}
	if o.device == "" {
		return nil
	}
	if _, err := os.Stat(o.device); err != nil {
		return fmt.Errorf("its device: %w", err)
	}
	return nil
}
