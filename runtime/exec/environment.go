package exec

// mergeEnv puts more over base, by name, keeping base's order.
func mergeEnv(base, more []string) []string {
	out := make([]string, 0, len(base)+len(more))
	at := map[string]int{}
	for _, kv := range append(append([]string{}, base...), more...) {
		name := envName(kv)
		if i, ok := at[name]; ok {
			out[i] = kv
			continue
		}
		at[name] = len(out)
		out = append(out, kv)
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
