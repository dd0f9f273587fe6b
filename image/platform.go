package image

import (
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/cpu"
)

// HostPlatform is what this host runs natively: linux, its architecture and, on amd64 and arm64, its variant.
func HostPlatform() v1.Platform {
	p := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	switch p.Architecture {
	case "amd64":
		p.Variant = amd64Level()
	case "arm64":
		p.Variant = "v8"
	case "arm":
		p.Variant = "v7"
	}
	return p
}

// amd64Level is the micro-architecture level of the x86-64 psABI (section 3.1.1) that the CPU reaches.
func amd64Level() string {
	x := cpu.X86
	switch {
	case !x.HasSSE42 || !x.HasPOPCNT || !x.HasSSSE3 || !x.HasCX16:
		return "v1"
	case !x.HasAVX2 || !x.HasBMI1 || !x.HasBMI2 || !x.HasFMA:
		return "v2"
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512CD || !x.HasAVX512DQ || !x.HasAVX512VL:
		return "v3"
	}
	return "v4"
}

// normalPlatform gives platforms that mean the same one spelling.
func normalPlatform(p v1.Platform) v1.Platform {
	p.OS = strings.ToLower(p.OS)
	p.Architecture = strings.ToLower(p.Architecture)
	p.Variant = strings.ToLower(p.Variant)
	if p.OS == "" {
		p.OS = "linux"
	}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386", "i486", "i586", "i686":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	switch {
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	case p.Architecture == "arm64" && p.Variant == "":
		p.Variant = "v8"
	case p.Architecture == "amd64" && p.Variant == "":
		p.Variant = "v1"
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	return v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

// wanted is the platform that a caller asks for; the zero value asks for the host's.
func wanted(p v1.Platform) v1.Platform {
	if p.Architecture == "" {
		return HostPlatform()
	}
	// amd64 by name is what this host has of it, when it is the host's architecture.
	host := HostPlatform()
	if p.Variant == "" && normalPlatform(p).Architecture == host.Architecture && normalPlatform(p).OS == host.OS {
		return host
	}
	return normalPlatform(p)
}

// rank says how well an image for have runs where want is asked for: 0 is best, -1 not at all. A newer variant
// runs what was made for an older one of its architecture: amd64 v3 runs v2 and v1, arm v7 runs v6.
func rank(want, have v1.Platform) int {
	if have.Architecture == "" && have.OS == "" {
		return 100 // an image that does not say: whoever made it knows
	}
	have = normalPlatform(have)
	if have.OS != want.OS || have.Architecture != want.Architecture {
		return -1
	}
	if have.Variant == want.Variant {
		return 0
	}
	w, h := variantNumber(want.Variant), variantNumber(have.Variant)
	if w < 0 || h < 0 || h > w {
		return -1
	}
	return w - h
}

// variantNumber of v8 is 8; -1 when it is not of that form. Of v9.2 and the like only the first number counts.
func variantNumber(variant string) int {
	digits, ok := strings.CutPrefix(variant, "v")
	if !ok {
		return -1
	}
	n := -1
	for _, c := range digits {
		if c < '0' || c > '9' {
			break
		}
		n = max(n, 0)*10 + int(c-'0')
		if n > 1000 {
			return -1
		}
	}
	return n
}

// choose picks the manifest of an index that fits want best; the first of equals, as the index's author ordered them.
func choose(manifests []v1.Descriptor, want v1.Platform) (v1.Descriptor, bool) {
	best, found := -1, v1.Descriptor{}
	for _, m := range manifests {
		if m.Platform == nil || attestation(m) {
			continue
		}
		if r := rank(want, *m.Platform); r >= 0 && (best < 0 || r < best) {
			best, found = r, m
		}
	}
	return found, best >= 0
}

// attestation entries are not images; BuildKit files them under platform unknown/unknown.
func attestation(m v1.Descriptor) bool {
	return m.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		m.Platform != nil && m.Platform.OS == "unknown"
}

// platformList is for messages: "linux/amd64, linux/arm64/v8".
func platformList(manifests []v1.Descriptor) string {
	var names []string
	for _, m := range manifests {
		if m.Platform == nil || attestation(m) {
			continue
		}
		if name := platformName(*m.Platform); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func platformName(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}
