package manifest

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/platform"
)

func TestChoosePlatform(t *testing.T) {
	parse := func(s string) *v1.Platform {
		p, err := v1.ParsePlatform(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ want, have, chosen string }{
		{"linux/amd64/v1", "linux/arm64 linux/amd64", "linux/amd64"},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v2"},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v3", "linux/amd64/v3"},
		{"linux/amd64/v1", "linux/amd64/v2", ""},
		{"linux/arm64", "linux/arm64/v8 linux/amd64", "linux/arm64/v8"},
		{"linux/arm64/v8", "linux/arm/v7 linux/arm64", "linux/arm64"},
		{"linux/arm/v7", "linux/arm/v5 linux/arm/v6 linux/arm64", "linux/arm/v6"},
		{"linux/arm/v6", "linux/arm/v7", ""},
		{"linux/s390x", "linux/amd64 windows/amd64", ""},
		{"linux/x86_64/v1", "windows/amd64 linux/amd64", "linux/amd64"},
		{"linux/amd64/v1", "unknown/unknown linux/amd64", "linux/amd64"},
	} {
		var list []v1.Descriptor
		for have := range strings.SplitSeq(c.have, " ") {
			list = append(list, v1.Descriptor{Platform: parse(have)})
		}
		got, ok := choose(list, platform.Normal(*parse(c.want)))
		name := ""
		if ok {
			name = platform.Name(*got.Platform)
		}
		if name != c.chosen {
			t.Errorf("for %s of %s: %q, expected %q", c.want, c.have, name, c.chosen)
		}
	}
}
