package manifest

import (
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/platform"
)

// choose picks the manifest of an index that fits want best; the first of equals, as the index's author ordered them.
func choose(manifests []v1.Descriptor, want v1.Platform) (v1.Descriptor, bool) {
	best, found := -1, v1.Descriptor{}
	for _, m := range manifests {
		if m.Platform == nil || Attestation(m) {
			continue
		}
		if r := platform.Rank(want, *m.Platform); r >= 0 && (best < 0 || r < best) {
			best, found = r, m
		}
	}
	return found, best >= 0
}

// Attestation entries are not images; BuildKit files them under platform unknown/unknown.
func Attestation(m v1.Descriptor) bool {
	return m.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		m.Platform != nil && m.Platform.OS == "unknown"
}

// platformList is for messages: "linux/amd64, linux/arm64/v8".
func platformList(manifests []v1.Descriptor) string {
	var names []string
	for _, m := range manifests {
		if m.Platform == nil || Attestation(m) {
			continue
		}
		if name := platform.Name(*m.Platform); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "no platform that it names"
	}
	return s
}
