package reconcile

import (
	"fmt"
	"os"
	"strings"
)

// bootID tells this boot of the host from every other, random(4).
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot tell this boot from another: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
