package standalone

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"github.com/stackrun/stack/internal/errdefs"
)

var (
	qualities = []string{"able", "amber", "ample", "bold", "brave", "brief", "bright", "brisk", "calm", "clear", "clever", "coral", "crisp", "deep", "early", "fair", "fast", "fine",
		"fresh", "gentle", "golden", "grand", "green", "happy", "keen", "kind", "large", "late", "light", "lively", "mellow", "mild", "modest", "neat", "noble", "open", "plain", "prime",
		"proud", "pure", "quick", "quiet", "rapid", "ready", "rich", "round", "sharp", "silver", "smooth", "solid", "steady", "still", "strong", "sunny", "swift", "tall", "tidy", "vivid", "warm", "wide"}
	things = []string{"acorn", "anchor", "arch", "aspen", "badger", "basin", "beacon", "birch", "bridge", "brook", "canyon", "cedar", "cliff", "cloud", "comet", "cove", "crane", "delta",
		"dune", "falcon", "fern", "field", "finch", "fjord", "forest", "garden", "glacier", "grove", "harbor", "hazel", "heron", "hill", "island", "lake", "lark", "ledge", "linden", "maple",
		"marsh", "meadow", "mesa", "moss", "oak", "orchard", "otter", "pebble", "pine", "plover", "prairie", "quarry", "reef", "ridge", "river", "robin", "shore", "spruce", "stone", "summit",
		"thicket", "valley", "willow", "wren"}
)

// NewName makes up a name: two words, and with attempt > 0, when earlier ones were taken, a number.
func NewName(attempt int) string {
	name := pick(qualities) + "_" + pick(things)
	if attempt > 0 {
		n, _ := rand.Int(rand.Reader, big.NewInt(10000)) // never fails: crypto/rand, Go 1.24
		name += n.String()
	}
	return name
}

func pick(words []string) string {
	n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(words)))) // never fails: crypto/rand, Go 1.24
	return words[n.Int64()]
}

// CheckName says whether a client may call a container name. The rule is dockerd's: moby, daemon/names/names.go.
func CheckName(name string) error {
	ok := len(name) > 1
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = ok && (letter || i > 0 && (c == '_' || c == '.' || c == '-'))
	}
	if !ok {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use %q as the name of a container: expected two or more of [a-zA-Z0-9_.-], the first of [a-zA-Z0-9]", name))
	}
	return nil
}
