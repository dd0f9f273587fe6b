package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// networkID is what clients of the Docker Engine API know the network called name by: 64 hex digits.
func (e *Engine) networkID(name string) string {
	sum := sha256.Sum256([]byte("network\x00" + e.roots.Instance() + "\x00" + name))
	return hex.EncodeToString(sum[:])
}

// networkByRef is the name on the host of the network that ref means: its name, its id, or the beginning of that.
func (e *Engine) networkByRef(ctx context.Context, ref string) (string, error) {
	all, err := e.drivers.Networks.List(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot list networks: %w", err)
	}
	var found []string
	for _, n := range all {
		name := n.Config.ID
		if name == ref {
			return name, nil
		}
		if id := e.networkID(name); ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %s not found", ref))
	case 1:
		return found[0], nil
	}
	return "", errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("network %s is ambiguous (%d matches found based on ID prefix)", ref, len(found)))
}
