// Package schematest makes Compose files for the tests that try every attribute of the language.
package schematest

import "strings"

// companions are what an object needs besides the key that is tried.
var companions = map[string]string{
	"services.*": `"image": "x"`, "services.*.ports[]": `"target": 80`, "services.*.volumes[]": `"type": "volume", "target": "/t"`,
	"services.*.configs[]": `"source": "c"`, "services.*.secrets[]": `"source": "s"`, "services.*.build.secrets[]": `"source": "s"`,
	"services.*.depends_on.*": `"condition": "service_started"`, "services.*.env_file[]": `"path": "e.env"`, "include[]": `"path": "i.yaml"`,
	"services.*.extends": `"service": "b"`, "services.*.develop.watch[]": `"path": ".", "action": "rebuild"`,
	"services.*.pre_start[]": `"command": "x"`, "services.*.post_start[]": `"command": "x"`, "services.*.pre_stop[]": `"command": "x"`,
	"services.*.develop.watch[].exec": `"command": "x"`, "services.*.provider": `"type": "x"`, "models.*": `"model": "x"`,
	"services.*.devices[]": `"source": "/dev/null", "target": "/dev/null"`, "services.*.gpus[]": `"capabilities": ["gpu"]`,
	"services.*.deploy.resources.reservations.devices[]": `"capabilities": ["gpu"]`, "services.*.ulimits.*": `"soft": 1, "hard": 1`, "services.*.build.ulimits.*": `"soft": 1, "hard": 1`,
}

// Document is a Compose file, in JSON, that has value at the attribute path, and nothing else but what that needs.
func Document(path, value string) string {
	at, open, shut := "", "{", "}"
	if !strings.HasPrefix(path, "services") {
		open = `{"services": {"b": {"image": "y"}}, `
	}
	parts := strings.Split(path, ".")
	for i, part := range parts {
		name := strings.TrimSuffix(part, "[]")
		at = strings.TrimPrefix(at+"."+part, ".")
		key := name
		if key == "*" {
			key = map[bool]string{true: "b", false: "a"}[strings.HasSuffix(at, "depends_on.*")]
		}
		open += `"` + key + `": `
		if i == len(parts)-1 {
			break
		}
		if name != part {
			open, shut = open+"[", "]"+shut
		}
		open, shut = open+"{", "}"+shut
		if c := companions[at]; c != "" && !strings.Contains(c, `"`+parts[i+1]+`":`) {
			open += c + ", "
		} else if c != "" {
			for more := range strings.SplitSeq(c, ", ") {
				if !strings.HasPrefix(more, `"`+parts[i+1]+`":`) {
					open += more + ", "
				}
			}
		}
	}
	return open + value + shut
}
