package spec_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/schema/schematest"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
	canonical "github.com/stackrun/stack/spec/render"
)

// good and bad are a value of each form that is taken and one that is not.
var good = map[schema.Form]string{
	schema.String: `"word"`, schema.Scalar: "12", schema.Bool: "true", schema.Int: "12", schema.Number: "1.5", schema.Size: `"1m"`, schema.Duration: `"90s"`, schema.Mode: `"0440"`,
	schema.PullPolicy: `"always"`, schema.Command: `["run", "it"]`, schema.Strings: `["one", "two"]`, schema.Texts: `["12"]`, schema.OneOrMany: `"one"`, schema.Options: `{"k": "v"}`,
	schema.OptionLists: `{"k": ["v", "w"]}`, schema.Pairs: `["k=v"]`, schema.Hosts: `{"h": "10.0.0.1"}`, schema.Object: `{"x-note": 1}`, schema.Named: `{"a": {}}`, schema.NamesOrNamed: `["b"]`,
	schema.Objects: `[]`, schema.ShortOrObjects: `[]`, schema.EnvFiles: `"e.env"`, schema.Ports: `["80"]`, schema.ObjectOrString: `"."`, schema.IntOrObject: "12", schema.BoolOrString: "true",
	schema.External: "true", schema.AllOrObjects: `"all"`, schema.CountOrAll: `"all"`,
}

var bad = map[schema.Form]string{
	schema.String: "12", schema.Scalar: "[]", schema.Bool: `"maybe"`, schema.Int: `"many"`, schema.Number: `"many"`, schema.Size: `"large"`, schema.Duration: "90", schema.Mode: `"rw"`,
	schema.Word: `"nonsense"`, schema.Hint: "[]", schema.PullPolicy: `"sometimes"`, schema.Command: "{}", schema.Strings: `"one"`, schema.Texts: `"one"`, schema.OneOrMany: "{}", schema.Options: `"k=v"`,
	schema.OptionLists: "[]", schema.Pairs: `"k=v"`, schema.Hosts: `"h"`, schema.Object: `"word"`, schema.Named: `["a"]`, schema.NamesOrNamed: `"b"`,
	schema.Objects: `"word"`, schema.ShortOrObjects: `"word"`, schema.EnvFiles: "{}", schema.Ports: "80", schema.ObjectOrString: "12", schema.IntOrObject: `"many"`, schema.BoolOrString: "[]",
	schema.External: `"maybe"`, schema.AllOrObjects: `"some"`, schema.CountOrAll: `"some"`,
}

// rules are the attributes that take less than their form: a value that is taken and one that is not.
var rules = map[string][2]string{
	"name":                                             {`"shop"`, `"%"`},
	"include":                                          {`["i.yaml"]`, `["none.yaml"]`},
	"include[].path":                                   {`"i.yaml"`, `"none.yaml"`},
	"include[].env_file":                               {`"e.env"`, `"none.env"`},
	"services":                                         {`{"a": {"image": "x"}}`, `{"a b": {"image": "x"}}`},
	"networks":                                         {`{"a": {}}`, `{"a b": {}}`},
	"volumes":                                          {`{"a": {}}`, `{"a b": {}}`},
	"secrets":                                          {`{"a": {"file": "e.env"}}`, `{"a": {}}`},
	"configs":                                          {`{"a": {"content": "c"}}`, `{"a": {"content": "c", "file": "e.env"}}`},
	"models":                                           {`{"a": {"model": "m"}}`, `{"a": {}}`},
	"services.*.extends":                               {`"b"`, `"nobody"`},
	"services.*.extends.service":                       {`"b"`, `"nobody"`},
	"services.*.extends.file":                          {`"i.yaml"`, `"none.yaml"`},
	"services.*.env_file":                              {`["e.env"]`, `["none.env"]`},
	"services.*.env_file[].path":                       {`"e.env"`, `"none.env"`},
	"services.*.label_file":                            {`"e.env"`, `"none.env"`},
	"services.*.command":                               {`"a 'b c'"`, `"a 'b"`},
	"services.*.hostname":                              {`"box"`, `"a b"`},
	"services.*.container_name":                        {`"box"`, `"x"`},
	"services.*.uts":                                   {`"host"`, `"private"`},
	"services.*.ipc":                                   {`"shareable"`, `"service:nobody"`},
	"services.*.pid":                                   {`"service:b"`, `"service:nobody"`},
	"services.*.network_mode":                          {`"service:b"`, `"service:"`},
	"services.*.annotations":                           {`["k=v"]`, `["=v"]`},
	"services.*.sysctls":                               {`{"net.core.somaxconn": 1}`, `{"vm.swappiness": 1}`},
	"services.*.ulimits":                               {`{"nofile": 10}`, `{"nofiles": 10}`},
	"services.*.ulimits.*.soft":                        {"1", `2`},
	"services.*.ulimits.*.hard":                        {"1", `0`},
	"services.*.volumes":                               {`["/data"]`, `["data:/data:ro:z"]`},
	"services.*.volumes[].type":                        {`"tmpfs"`, `"nonsense"`},
	"services.*.provider":                              {`{"type": "x"}`, `{}`},
	"services.*.build.ulimits":                         {`{"nofile": 1}`, `{"nofile": {}}`},
	"services.*.develop.watch[].exec":                  {`{"command": "x"}`, `{"user": "x"}`},
	"services.*.volumes[].source":                      {`"a"`, `"nobody"`},
	"services.*.volumes[].target":                      {`"/data"`, `"data"`},
	"services.*.volumes[].volume.subpath":              {`"a/b"`, `"../b"`},
	"services.*.volumes_from":                          {`["b"]`, `["nobody"]`},
	"services.*.tmpfs":                                 {`"/run:size=1m"`, `"/run:size=large"`},
	"services.*.devices":                               {`["/dev/null:/dev/zero:r"]`, `["/dev/null:/dev/zero:x"]`},
	"services.*.devices[].source":                      {`"/dev/zero"`, `"zero"`},
	"services.*.devices[].permissions":                 {`"rw"`, `"rx"`},
	"services.*.configs":                               {`["c"]`, `["nobody"]`},
	"services.*.configs[].source":                      {`"c"`, `"nobody"`},
	"services.*.configs[].uid":                         {`"10"`, `"me"`},
	"services.*.configs[].gid":                         {`"10"`, `"me"`},
	"services.*.configs[].mode":                        {`"0440"`, `"0999"`},
	"services.*.secrets":                               {`["s"]`, `["nobody"]`},
	"services.*.secrets[].source":                      {`"s"`, `"nobody"`},
	"services.*.secrets[].uid":                         {`"10"`, `"me"`},
	"services.*.secrets[].gid":                         {`"10"`, `"me"`},
	"services.*.build.network":                         {`"none"`, `"service:b"`},
	"services.*.build.secrets":                         {`["s"]`, `["nobody"]`},
	"services.*.build.secrets[].source":                {`"s"`, `"nobody"`},
	"services.*.build.secrets[].uid":                   {`"10"`, `"me"`},
	"services.*.build.secrets[].gid":                   {`"10"`, `"me"`},
	"services.*.networks":                              {`["n"]`, `["nobody"]`},
	"services.*.networks.*.ipv4_address":               {`"10.0.0.2"`, `"fd00::2"`},
	"services.*.networks.*.ipv6_address":               {`"fd00::2"`, `"10.0.0.2"`},
	"services.*.networks.*.mac_address":                {`"02:42:ac:11:00:02"`, `"02:42"`},
	"services.*.mac_address":                           {`"02:42:ac:11:00:02"`, `"02:42"`},
	"services.*.ports":                                 {`["127.0.0.1:80-81:80-81/udp"]`, `["80:80-81"]`},
	"services.*.ports[].target":                        {"80", "70000"},
	"services.*.ports[].published":                     {`"8000-8010"`, `"8010-8000"`},
	"services.*.ports[].host_ip":                       {`"::1"`, `"localhost"`},
	"services.*.ports[].protocol":                      {`"udp"`, `"icmp"`},
	"services.*.expose":                                {`["80", "90/udp"]`, `["http"]`},
	"services.*.links":                                 {`["b:db"]`, `["nobody"]`},
	"services.*.extra_hosts":                           {`["h=10.0.0.1", "g:host-gateway"]`, `["h"]`},
	"services.*.build.extra_hosts":                     {`["h=10.0.0.1"]`, `["h"]`},
	"services.*.dns":                                   {`["10.0.0.1"]`, `["localhost"]`},
	"networks.*.driver":                                {`"bridge"`, "12"},
	"networks.*.ipam.config":                           {`[{"subnet": "10.0.0.0/24"}]`, `[{"subnet": "10.0.0.0"}]`},
	"networks.*.ipam.config[].subnet":                  {`"10.0.0.0/24"`, `"10.0.0.0/33"`},
	"networks.*.ipam.config[].ip_range":                {`"10.0.0.0/25"`, `"everything"`},
	"networks.*.ipam.config[].gateway":                 {`"10.0.0.1"`, `"first"`},
	"networks.*.ipam.config[].aux_addresses":           {`{"h": "10.0.0.9"}`, `["10.0.0.9"]`},
	"networks.*.external":                              {"true", `{"nmae": "x"}`},
	"volumes.*.external":                               {"true", `{"nmae": "x"}`},
	"configs.*.external":                               {"true", `{"nmae": "x"}`},
	"secrets.*.external":                               {"true", `{"nmae": "x"}`},
	"services.*.cpus":                                  {"0.5", "-1"},
	"services.*.cpu_period":                            {"1000", "2000000"},
	"services.*.cpuset":                                {`"0-1,3"`, `"3-1"`},
	"services.*.mem_swappiness":                        {"60", "101"},
	"services.*.memswap_limit":                         {"-1", `"all"`},
	"services.*.oom_score_adj":                         {"-500", "-1001"},
	"services.*.gpus":                                  {`"all"`, `"some"`},
	"services.*.cap_add":                               {`["NET_ADMIN"]`, `["NET_ADMINS"]`},
	"services.*.cap_drop":                              {`["ALL"]`, `["EVERYTHING"]`},
	"services.*.security_opt":                          {`["no-new-privileges"]`, `["nonsense"]`},
	"services.*.userns_mode":                           {`"host"`, `"private"`},
	"services.*.isolation":                             {`"default"`, `"hyperv"`},
	"services.*.image":                                 {`"nginx:1"`, `"Nginx"`},
	"services.*.platform":                              {`"linux/amd64"`, `"linux//x"`},
	"services.*.pull_policy":                           {`"every_12h"`, `"every_day"`},
	"services.*.depends_on":                            {`["b"]`, `["nobody"]`},
	"services.*.restart":                               {`"on-failure:3"`, `"sometimes"`},
	"services.*.stop_signal":                           {`"SIGUSR1"`, `"SIGNAL"`},
	"services.*.healthcheck.test":                      {`["CMD", "true"]`, `["true"]`},
	"services.*.healthcheck.start_interval":            {`"1s"`, `"1 second"`},
	"services.*.logging.driver":                        {`"local"`, `"jsonfile"`},
	"services.*.logging.options":                       {`{"max-size": "10m"}`, `{"max-size": "large"}`},
	"services.*.build":                                 {`"."`, "12"},
	"services.*.build.ssh":                             {`["default"]`, `"default"`},
	"services.*.provider.type":                         {`"tool"`, "12"},
	"services.*.models":                                {`["m"]`, `["nobody"]`},
	"services.*.develop.watch[].path":                  {`"."`, `""`},
	"services.*.develop.watch[].action":                {`"restart"`, `"sync"`},
	"services.*.deploy.replicas":                       {"3", "-1"},
	"services.*.deploy.update_config.failure_action":   {`"rollback"`, `"nonsense"`},
	"services.*.deploy.rollback_config.failure_action": {`"pause"`, `"nonsense"`},
	"services.*.scale":                                 {"3", "-1"},
	"services.*.use_api_socket":                        {"false", `"maybe"`},
	"services.*.deploy.restart_policy.condition":       {`"on-failure"`, `"sometimes"`},
}

// extra is what the file of an attribute needs besides.
const extra = `, "networks": {"n": {}}, "configs": {"c": {"file": "e.env"}}, "secrets": {"s": {"file": "e.env"}}, "models": {"m": {"model": "x"}}, "volumes": {"a": {}}}`

// attributeFile is the file that has value at path.
func attributeFile(path, value string) string {
	text := schematest.Document(path, value)
	if strings.HasPrefix(path, "services.") {
		text = strings.Replace(text, `{"services": {"a": {`, `{"services": {"b": {"image": "y"}, "a": {`, 1)
		text = strings.TrimSuffix(text, "}") + extra
		text = strings.Replace(text, `"networks": {"a":`, `"networks": {"n":`, 1)
		return strings.Replace(text, `"models": {"a":`, `"models": {"m":`, 1)
	}
	section, rest, _ := strings.Cut(path, ".*.")
	switch section {
	case "configs", "secrets":
		switch rest {
		case "", "file", "content", "environment", "external", "external.name":
		default:
			text = strings.Replace(text, `{"a": {`, `{"a": {"file": "e.env", `, 1)
		}
	case "networks": // what is wrong with one that nobody uses is no fault
		text = strings.Replace(text, `"image": "y"`, `"image": "y", "networks": ["a"]`, 1)
	}
	return text
}

func showAttribute(text string) (*spec.Project, diag.List, string) {
	fsys := fstest.MapFS{"shop/c.yaml": {Data: []byte(text)}, "shop/e.env": {Data: []byte("K=v\n")}, "shop/i.yaml": {Data: []byte("services: {b: {image: z}}")}}
	p, list := spec.Load(context.Background(), spec.Input{FS: fsys, Files: []string{"/shop/c.yaml"}, Dir: "/shop", Env: map[string]string{}, Purpose: spec.ToShow})
	var b strings.Builder
	for _, d := range list {
		// What is not supported, or has no effect, is the support table's affair: it changes.
		if d.Severity != diag.Warning || d.Code != spec.CodeRefused && d.Code != spec.CodeIgnored {
			fmt.Fprintf(&b, "    %s: %s\n", d.Severity, d.Error())
		}
	}
	return p, list, b.String()
}

// TestEveryAttribute holds for each attribute one value that is taken and one that is not against testdata/attributes.out:
// what the project shows of the one, the exact diagnostics of the other.
func TestEveryAttribute(t *testing.T) {
	var out bytes.Buffer
	known := map[string]bool{}
	for i := range schema.Attributes {
		path := schema.Attributes[i].Path
		about := schema.At(path).About
		known[path] = true
		yes, no := good[about.Form], bad[about.Form]
		if len(about.Values) > 0 {
			yes = `"` + about.Values[0] + `"`
		}
		if r, ok := rules[path]; ok {
			yes, no = r[0], r[1]
		}
		text := attributeFile(path, yes)
		p, list, said := showAttribute(text)
		if p == nil || list.HasErrors() {
			t.Errorf("%s: %s is refused: %s\n%s", path, yes, text, said)
			continue
		}
		fmt.Fprintf(&out, "%s\n  %s\n%s%s", path, yes, said, shownOf(t, p, path))
		if _, _, said = showAttribute(attributeFile(path, no)); said == "" {
			t.Errorf("%s: %s is taken without a word: %s", path, no, attributeFile(path, no))
		}
		fmt.Fprintf(&out, "  %s\n%s", no, said)
	}
	for path := range rules {
		if !known[path] {
			t.Errorf("rules has %s, which is no attribute", path)
		}
	}
	golden(t, "testdata/attributes.out", out.String())
}

// shownOf is what config shows of p that it does not show of a project without the attribute.
func shownOf(t *testing.T, p *spec.Project, path string) string {
	t.Helper()
	var with, without bytes.Buffer
	if err := canonical.YAML(&with, p); err != nil {
		t.Fatal(err)
	}
	empty := `{"services": {"b": {"image": "y"}}` + extra
	if strings.HasPrefix(path, "services.") {
		empty = `{"services": {"a": {"image": "x"}, "b": {"image": "y"}}` + extra
	}
	base, _, said := showAttribute(empty)
	if base == nil {
		t.Fatal(said)
	}
	if err := canonical.YAML(&without, base); err != nil {
		t.Fatal(err)
	}
	usual := strings.Split(without.String(), "\n")
	var b strings.Builder
	for line := range strings.Lines(with.String()) {
		if !slices.Contains(usual, strings.TrimRight(line, "\n")) {
			b.WriteString("    | " + line)
		}
	}
	return b.String()
}
