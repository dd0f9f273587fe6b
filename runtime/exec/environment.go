package exec

import (
	"slices"
	"strings"
)

// mergeEnv puts more over base, by name, keeping base's order. A name of more without = takes the variable away, as with dockerd: clients send one that is not set where they run.
func mergeEnv(base, more []string) []string {
	out := slices.Clone(base)
	for _, kv := range more {
		name := envName(kv)
		i := slices.IndexFunc(out, func(have string) bool { return envName(have) == name })
		switch set := strings.Contains(kv, "="); {
		case set && i < 0:
			out = append(out, kv)
		case set:
			out[i] = kv
		case i >= 0:
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

func envName(kv string) string {
	for i := range kv {
		if kv[i] == '=' {
			return kv[:i]
		}
	}
	return kv
}

func hasEnv(env []string, name string) bool {
	for _, kv := range env {
		if envName(kv) == name {
			return true
		}
	}
	return false
}
