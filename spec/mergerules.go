package spec

import (
	"sync"

	"github.com/stackrun/stack/schema"
)

// rule is how an attribute of a later file joins that of an earlier one. The
// default: mappings merge by key, lists append, scalars and other kinds replace.
// Uniqueness within lists is not the merge's affair: it holds within one file too,
// so the decoder drops duplicates (see docs/compat.md for which).
type rule uint8

const (
	byDefault    rule = iota
	replaceWhole      // the later value wins, null included
	keyed             // list of "key=value" or mapping: by key, later wins
	named             // list of names or mapping: by name
	perKey            // mapping by key, but each value is replaced whole
	sameDriver        // mapping; options survive only under the same driver
	bySubnet          // list of mappings: merged by their subnet
	oneOrMany         // string or list: append
	contextOrMap      // string is {context: string}
	hostList          // mapping of name to addresses is a list of name=address
)

// mergeRules is the specification's merge table, for what is not the default:
// https://github.com/compose-spec/compose-spec/blob/main/13-merge.md
var mergeRules = map[string]rule{
	"services.*.command":          replaceWhole,
	"services.*.entrypoint":       replaceWhole,
	"services.*.healthcheck.test": replaceWhole,

	"services.*.environment":               keyed,
	"services.*.labels":                    keyed,
	"services.*.annotations":               keyed,
	"services.*.sysctls":                   keyed,
	"services.*.deploy.labels":             keyed,
	"services.*.volumes[].volume.labels":   keyed,
	"services.*.build.args":                keyed,
	"services.*.build.labels":              keyed,
	"services.*.build.additional_contexts": keyed,
	"networks.*.labels":                    keyed,
	"volumes.*.labels":                     keyed,
	"configs.*.labels":                     keyed,
	"secrets.*.labels":                     keyed,

	"services.*.depends_on": named,
	"services.*.networks":   named,
	"services.*.models":     named,

	"services.*.ulimits": perKey,
	"services.*.logging": sameDriver,
	"services.*.build":   contextOrMap,

	"services.*.extra_hosts":       hostList,
	"services.*.build.extra_hosts": hostList,

	"services.*.dns":        oneOrMany,
	"services.*.dns_search": oneOrMany,
	"services.*.tmpfs":      oneOrMany,
	"services.*.env_file":   oneOrMany,
	"services.*.label_file": oneOrMany,

	"networks.*.ipam.config": bySubnet,
}

// ruleOf finds the rule of a place of the language.
var ruleOf = sync.OnceValue(func() map[*schema.Node]rule {
	m := make(map[*schema.Node]rule, len(mergeRules))
	for path, r := range mergeRules {
		m[schema.At(path)] = r
	}
	return m
})
