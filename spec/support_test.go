package spec_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// TestSupportTableIsTheDecoder walks the language: a key of the table must be one
// that the decoder reads, and the other way round. A key
// that nothing reads would be ignored without a word.
func TestSupportTableIsTheDecoder(t *testing.T) {
	tables := spec.FieldTables()
	var walk func(path string, n *schema.Node)
	walk = func(path string, n *schema.Node) {
		if n.Keys != nil {
			read, ok := tables[path]
			if !ok {
				t.Errorf("%q: the schema has keys here and the decoder no table", path)
			}
			delete(tables, path)
			for key := range n.Keys {
				if !slices.Contains(read, key) {
					t.Errorf("%s.%s: in the table, and not read by the decoder", path, key)
				}
			}
			for _, key := range read {
				if n.Keys[key] == nil {
					t.Errorf("%s.%s is read by the decoder and unknown to the table", path, key)
				}
			}
		}
		for key, below := range n.Keys {
			at := key
			if path != "" {
				at = path + "." + key
			}
			walk(at, below)
		}
		if n.Any != nil {
			walk(path+".*", n.Any)
		}
		if n.Elem != nil {
			walk(path+"[]", n.Elem)
		}
	}
	walk("", schema.Root())
	for path := range tables {
		t.Errorf("the decoder has a table for %q, which the schema does not have", path)
	}
}

func TestMergeRulesNameRealPlaces(t *testing.T) {
	for _, path := range spec.MergeRulePaths() {
		if schema.At(path) == nil {
			t.Errorf("mergeRules names %q, which the schema does not have", path)
		}
	}
}

// TestEveryKeyWithoutEffectIsTold: a file with a key that the table calls refused or without effect is refused, or read with a
// warning, that names the key and its line.
func TestEveryKeyWithoutEffectIsTold(t *testing.T) {
	// What is written for each,.
	values := map[string]string{
		"version": `version: "3"`, "services.*.runtime": "runtime: kata",
		"services.*.volumes[].consistency":  "volumes: [{type: bind, source: /a, target: /b, consistency: cached}]",
		"services.*.volumes[].bind.selinux": "volumes: [{type: bind, source: /a, target: /b, bind: {selinux: z}}]",
		"services.*.volumes[].image":        "volumes: [{type: image, source: a, target: /b, image: {subpath: c}}]",
		"services.*.storage_opt":            "storage_opt: {size: 1G}",
		"configs.*.template_driver":         "configs: {c: {file: /a, template_driver: golang}}",
		"secrets.*.driver":                  "secrets: {c: {file: /a, driver: d}}",
		"secrets.*.driver_opts":             "secrets: {c: {file: /a, driver_opts: {a: b}}}",
		"secrets.*.template_driver":         "secrets: {c: {file: /a, template_driver: golang}}",
		"networks.*.ipam.options":           "networks: {n: {ipam: {options: {a: b}}}}",
		"services.*.cpu_rt_runtime":         "cpu_rt_runtime: 400ms", "services.*.cpu_rt_period": "cpu_rt_period: 1400us",
		"services.*.cpu_count": "cpu_count: 2", "services.*.cpu_percent": "cpu_percent: 50",
		"services.*.gpus[].options":                                  "gpus: [{count: 1, options: {a: b}}]",
		"services.*.deploy.resources.reservations.cpus":              "deploy: {resources: {reservations: {cpus: '1'}}}",
		"services.*.deploy.resources.reservations.devices[].options": "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], options: {a: b}}]}}}",
		"services.*.deploy.resources.reservations.generic_resources": "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: 1}}]}}}",
		"services.*.credential_spec":                                 "credential_spec: {file: a}",
		"services.*.pull_refresh_after":                              "pull_refresh_after: 24h",
		"services.*.build.cache_from":                                "build: {cache_from: [a]}",
		"services.*.build.cache_to":                                  "build: {cache_to: [a]}",
		"services.*.build.ssh":                                       "build: {ssh: [default]}",
		"services.*.build.entitlements":                              "build: {entitlements: [network.host, security.insecure]}",
		"services.*.build.isolation":                                 "build: {isolation: hyperv}",
		"services.*.build.provenance":                                "build: {provenance: mode=max}",
		"services.*.build.sbom":                                      "build: {sbom: true}",
		"services.*.develop":                                         "develop: {watch: [{path: /a, action: rebuild}]}",
		"services.*.deploy.mode":                                     "deploy: {mode: global}",
		"services.*.deploy.endpoint_mode":                            "deploy: {endpoint_mode: dnsrr}",
		"services.*.deploy.labels":                                   "deploy: {labels: {a: b}}",
		"services.*.deploy.placement":                                "deploy: {placement: {constraints: [a]}}",
		"services.*.deploy.update_config":                            "deploy: {update_config: {parallelism: 2}}",
		"services.*.deploy.rollback_config":                          "deploy: {rollback_config: {parallelism: 2}}",
	}
	const runc = "runtime: runc" // docker's own runtime by name: accepted, and said
	values[runc] = runc
	paths := []string{runc}
	for _, a := range schema.Attributes {
		if a.Level != schema.Supported && a.Reason != "" {
			paths = append(paths, a.Path)
		}
	}
	for _, path := range paths {
		example := values[path]
		if example == "" {
			t.Errorf("%s: no example of it in this test", path)
			continue
		}
		// Services with the key, or with what uses the object that has it: what nobody uses is not spoken of.
		file, line := "services:\n  web:\n    image: a\n    "+example+"\nnetworks: {n: {}}\nmodels: {m: {model: a}}\n", 4
		if !strings.HasPrefix(path, "services.") && path != runc {
			section, _, _ := strings.Cut(path, ".")
			use := map[string]string{"networks": "networks: [n]", "configs": "configs: [c]", "secrets": "secrets: [c]"}[section]
			file, line = example+"\nservices:\n  web:\n    image: a\n    "+use+"\n", 1
		}
		_, list := spec.Load(t.Context(), spec.Input{FS: fstest.MapFS{"c.yaml": {Data: []byte(file)}}, Files: []string{"/c.yaml"}, Dir: "/", Name: "x"})
		word, _, _ := strings.Cut(path[strings.LastIndex(path, ".")+1:], ":")
		if !slices.ContainsFunc(list, func(d *diag.Diagnostic) bool {
			return d.Subject != nil && d.Subject.Start.Line == line && strings.Contains(d.Summary+" "+d.Detail, word)
		}) {
			t.Errorf("%s: nothing names %s in line %d of\n%s%v", path, word, line, file, list)
		}
	}
}

// TestBuildsAskedForNothing: attributes of builds that have no effect here are not spoken of where their value asks for nothing; what is said
// of builds is said to who builds, and of nothing else.
func TestBuildsAskedForNothing(t *testing.T) {
	for text, want := range map[string]string{
		"build: {context: ., provenance: false, sbom: false, isolation: default, entitlements: [network.host]}": "",
		"build: {context: ., sbom: true}":                        "sbom",
		"build: {context: ., network: \"service:db\"}":           "network",
		"build: .\n    env_file: missing.env\n    runtime: kata": "",
	} {
		_, list := spec.Load(t.Context(), spec.Input{
			FS: fstest.MapFS{"c.yaml": {Data: []byte("services:\n  web:\n    " + text + "\n")}}, Files: []string{"/c.yaml"}, Dir: "/", Name: "x", Purpose: spec.ToBuild,
		})
		said := ""
		for _, d := range list {
			said += d.Error() + "\n"
		}
		if want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s\nis said to mean %q, expected %q", text, said, want)
		}
	}
}
