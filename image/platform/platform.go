package platform

import (
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/cpu"
)

// Host is what this host runs natively: linux, its architecture and, on amd64 and arm64, its variant.
func Host() v1.Platform {
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

// Normal gives platforms that mean the same one spelling.
func Normal(p v1.Platform) v1.Platform {
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

// Wanted is the platform that a caller asks for; the zero value asks for the host's.
func Wanted(p v1.Platform) v1.Platform {
	if p.Architecture == "" {
		return Host()
	}
	// amd64 by name is what this host has of it, when it is the host's architecture.
	host := Host()
	if p.Variant == "" && Normal(p).Architecture == host.Architecture && Normal(p).OS == host.OS {
		return host
	}
	return Normal(p)
}

// Rank says how well an image for have runs where want is asked for: 0 is best, -1 not at all. A newer variant
// runs what was made for an older one of its architecture: amd64 v3 runs v2 and v1, arm v7 runs v6.
func Rank(want, have v1.Platform) int {
	if have.Architecture == "" && have.OS == "" {
		return 100 // an image that does not say: whoever made it knows
	}
	have = Normal(have)
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

// Name is p for messages: linux/arm64/v8.
func Name(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Of is the platform that an image with the configuration c is for.
func Of(c *v1.ConfigFile) v1.Platform {
	return v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}
