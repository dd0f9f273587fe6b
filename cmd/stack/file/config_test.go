package file_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

func TestConfigTellsOneThing(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "services:\n  web:\n    image: nginx:${TAG:-1}\n    user: ${WHO:?say who}\n  tool:\n    image: busybox\n    profiles: [tools]\n")
	u.Env["WHO"] = "me"
	for _, tt := range []struct{ line, want string }{
		{"config --services", `^web\n$`},
		{"config --images", `^nginx:1\n$`},
		{"config --hash *", `^web [0-9a-f]{64}\n$`},
		{"config --hash tool", `^tool [0-9a-f]{64}\n$`},
		{"config --variables", `^NAME +REQUIRED +DEFAULT VALUE +ALTERNATE VALUE\nTAG +false +1 +\nWHO +true +\n$`},
	} {
		code, out, errs := u.Run(tt.line)
		if code != 0 || !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("stack %s: code %d, %q; %s", tt.line, code, out, errs)
		}
	}
	u.Write("all.yaml", "services:\n  web: {image: \"x:${TAG:-1}\", networks: [front], volumes: [\"data:/data\"], configs: [c], models: [llm]}\n  db: {image: y, networks: [back]}\n"+
		"networks: {front: , back: }\nvolumes: {data: }\nconfigs: {c: {content: x}}\nmodels: {llm: {model: ai/small}}\n")
	for line, want := range map[string]string{
		"config --models":                  `^ai/small\n$`,
		"config --format json --variables": `^\{\n    "TAG": \{\n        "Name": "TAG",\n        "DefaultValue": "1",\n        "PresenceValue": "",\n        "Required": false\n    \}\n\}\n$`,
		"config --format json db":          `^\{"name":"[^"]*","services":\{"db":\{[^}]*"networks":\{"back":null\}\}\},"networks":\{"back":\{"name":"[^"]*","ipam":\{\}\}\}\}$`,
	} {
		code, out, errs := u.Run("-f " + filepath.Join(u.Dir, "all.yaml") + " " + line)
		if strings.HasSuffix(line, "db") {
			out = strings.Join(strings.Fields(out), "")
		}
		if code != 0 || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("stack %s: code %d, %q; %s", line, code, out, errs)
		}
	}
	// The hash follows the configuration, and only that.
	_, before, _ := u.Run("config --hash web")
	u.Env["TAG"] = "2"
	_, after, _ := u.Run("config --hash web")
	u.Env["TAG"] = "1"
	_, again, _ := u.Run("config --hash web")
	if before == after || before != again {
		t.Errorf("hashes %q", strings.Fields(before+after+again))
	}
}

// TestConfigOfSeveralFiles: what is told of a file that includes and extends others is told of those too.
func TestConfigOfSeveralFiles(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "include: [\"${DIR:-sub}/inc.yaml\"]\nservices:\n  web:\n    extends: {file: \"${DIR:-sub}/ext.yaml\", service: base}\n    build: .\n")
	if err := os.Mkdir(filepath.Join(u.Dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	u.Write("sub/inc.yaml", "services:\n  db: {image: \"db:${DB:?say which}\", volumes: [\"./data:/data\"], extends: {file: ext.yaml, service: base}}\n")
	u.Write("sub/ext.yaml", "services:\n  base: {image: \"web:${TAG}\", volumes: [\"./x:/x\", \"../up:/up\"], build: {context: ./ctx}}\n  other: {image: \"${OTHER:?never asked}\"}\n")
	if code, out, errs := u.Run("config --variables"); code != 0 || !regexp.MustCompile(`^NAME .*\nDB +true +\nDIR +false +sub +\nTAG +false +\n$`).MatchString(out) {
		t.Errorf("config --variables: code %d: %s%s", code, out, errs)
	}
	if code, out, errs := u.Run("config --no-interpolate"); code != 0 || !strings.Contains(out, "web:${TAG}") || !strings.Contains(out, "db:${DB:?say which}") || strings.Contains(errs, "TAG") {
		t.Errorf("config --no-interpolate: code %d: %s%s", code, out, errs)
	}
	u.Env["DB"], u.Env["TAG"], u.Env["OTHER"] = "1", "1", "x"
	code, out, errs := u.Run("config --no-path-resolution")
	for _, want := range []string{"context: .\n", "context: sub/ctx\n", "source: ./sub/x\n", "source: ./sub/data\n", "source: ./up\n"} {
		if code != 0 || !strings.Contains(out, want) || strings.Contains(out, u.Dir) {
			t.Errorf("config --no-path-resolution: code %d: no %q in\n%s%s", code, want, out, errs)
		}
	}
}

// TestConfigAsWritten: what docker compose v5 leaves out of its output with each flag, by trying it, is left out here.
func TestConfigAsWritten(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "services:\n  web:\n    image: nginx:${TAG:-1}\n    build: ./src\n    env_file: [a.env, {path: b.env, required: false}]\n    environment: {B: $B}\n    volumes: [./data:/data]\n    networks: [back]\n")
	u.Write("a.env", "A=1\n")
	u.Env["B"] = "2"
	for _, tt := range []struct {
		line      string
		has, lack []string
	}{
		{"config --no-consistency", []string{"nginx:1", "A: \"1\"", "B: \"2\"", "dockerfile: Dockerfile", "/data"}, []string{"env_file"}},
		{"config --no-consistency --no-path-resolution", []string{"context: ./src", "source: ./data", "A: \"1\""}, nil},
		{"config --no-consistency --no-env-resolution", []string{"env_file:", "/a.env\n", "/b.env\n        required: false", "B: \"2\""}, []string{"A:"}},
		{"config --no-consistency --no-normalize", []string{"context: /", "back: null"}, []string{"dockerfile", "\nnetworks:"}},
		{"config --no-interpolate", []string{"image: nginx:${TAG:-1}", "B: $B", "build: ./src", "- ./data:/data", "- a.env"}, []string{"A:", "default"}},
		{"config --no-interpolate --format json", []string{`"image": "nginx:${TAG:-1}"`}, nil},
	} {
		code, out, errs := u.Run(tt.line)
		if code != 0 {
			t.Errorf("stack %s: code %d: %s", tt.line, code, errs)
		}
		for _, want := range tt.has {
			if !strings.Contains(out, want) {
				t.Errorf("stack %s: no %q in:\n%s", tt.line, want, out)
			}
		}
		for _, never := range tt.lack {
			if strings.Contains(out, never) {
				t.Errorf("stack %s: %q in:\n%s", tt.line, never, out)
			}
		}
	}
	u.Write("half.yaml", "services:\n  half: {scale: 2, container_name: half, healthcheck: {test: [RUN, x]}, build: {platforms: [linux/arm64]}, platform: linux/amd64}\n  other: {user: me, cpus: 1, deploy: {resources: {limits: {cpus: \"2\"}}}}\n")
	if code, out, errs := u.Run("-f " + filepath.Join(u.Dir, "half.yaml") + " config --no-consistency"); code != 0 || !strings.Contains(out, "user: me") {
		t.Errorf("what does not go together is not shown with --no-consistency: code %d: %s", code, errs)
	}
	if code, _, errs := u.Run("-f " + filepath.Join(u.Dir, "half.yaml") + " config"); code != 1 || strings.Count(errs, "error: ") != 5 {
		t.Errorf("not all of what does not go together is told: code %d: %s", code, errs)
	}
	if code, _, errs := u.Run("config"); code != 1 || !strings.Contains(errs, `network "back"`) {
		t.Errorf("without a flag: code %d: %s", code, errs)
	}
	if code, out, errs := u.Run("config --no-interpolate --services"); code != 0 || out != "web\n" {
		t.Errorf("--services as written: code %d: %s%s", code, out, errs)
	}
	if code, _, errs := u.Run("config --no-interpolate --images"); code == 0 || !strings.Contains(errs, "--no-interpolate") {
		t.Errorf("flags that exclude each other: code %d: %s", code, errs)
	}
	if _, out, _ := u.Run("config --no-consistency --environment"); !strings.Contains(out, "COMPOSE_PROJECT_NAME=") || !strings.Contains(out, "B=2\n") {
		t.Errorf("--environment: %s", out)
	}
}

func TestConfigExplains(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "services:\n  web:\n    image: nginx:${TAG:-1}\n    environment: {A: \"${API_KEY}\"}\n")
	u.Write(".env", "# for trials\nAPI_KEY=abc\n")
	code, out, errs := u.Run("config --explain services.web")
	for _, want := range []string{"services.web.image = \"nginx:1\"\n", "compose.yaml:3:12\n", "  written    nginx:${TAG:-1}\n  variable   TAG, not set\n", "variable   API_KEY = \"(hidden)\", from ", ".env:2\n"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("code %d, no %q in:\n%s%s", code, want, out, errs)
		}
	}
	if strings.Contains(out, "abc") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	if _, out, _ = u.Run("config --explain services.web --show-secrets"); !strings.Contains(out, `API_KEY = "abc"`) {
		t.Errorf("asked for, it is not shown:\n%s", out)
	}
	code, out, _ = u.Run("config --explain services.web.image --format json")
	var origins []spec.Origin
	if err := json.Unmarshal([]byte(out), &origins); code != 0 || err != nil || len(origins) != 1 || origins[0].At.Line != 3 {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
	// What is wrong in an .env that is an env_file too is told once.
	if err := os.Mkdir(filepath.Join(u.Dir, "twice"), 0o755); err != nil {
		t.Fatal(err)
	}
	u.Write("twice/.env", "A=${NOBODY}\n")
	u.Write("twice/compose.yaml", "services: {web: {image: x, env_file: .env}}\n")
	if code, _, errs = u.Run("-f " + filepath.Join(u.Dir, "twice/compose.yaml") + " config --explain NOSUCH"); code != 1 || strings.Count(errs, "NOBODY is not set") != 1 {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs = u.Run("-f " + filepath.Join(u.Dir, "twice/compose.yaml") + " config"); code != 0 || strings.Count(errs, "NOBODY is not set") != 1 {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs = u.Run("config --explain services.web.ports"); code != 1 || !strings.Contains(errs, "no file says services.web.ports") {
		t.Errorf("nothing there: code %d, %s", code, errs)
	}
}

func TestDiagnosticsForEditors(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	good := "services:\n  web:\n    image: nginx:1\n"
	for _, tt := range []struct {
		text, line string
		code       int
		want       []string // severity, code and place
	}{
		{good, "config -q", 0, nil},
		{good + "    user: ${WHO}\n", "config -q", 0, []string{"warning unset-variable 4:11"}},
		{good + "    prots: [1]\n    user: 7\n", "config", 1, []string{"error unknown-key 4:5", "error wrong-type 5:11"}},
		{good + "    prots: [1]\n", "ps", 1, []string{"error unknown-key 4:5"}},
		{good + "    prots: [1]\n", "up -d", 1, []string{"error unknown-key 4:5"}},
		{good, "config --format xml", 1, []string{"error failed 0:0"}},
	} {
		u.Write("compose.yaml", tt.text)
		code, _, errs := u.Run("--diagnostics json " + tt.line)
		var list diag.List
		if err := json.Unmarshal([]byte(errs), &list); err != nil || list == nil {
			t.Errorf("%s: stderr is no list of diagnostics: %v\n%s", tt.line, err, errs)
			continue
		}
		var got []string
		for _, d := range list {
			var at diag.Pos
			if d.Subject != nil {
				at = d.Subject.Start
			}
			got = append(got, fmt.Sprintf("%s %s %d:%d", d.Severity, d.Code, at.Line, at.Column))
		}
		if code != tt.code || !slices.Equal(got, tt.want) {
			t.Errorf("%s: code %d, %q; want %d, %q", tt.line, code, got, tt.code, tt.want)
		}
	}
	if code, _, errs := u.Run("--diagnostics xml config"); code != 1 || !strings.Contains(errs, "expected text or json") {
		t.Errorf("another format: %d, %s", code, errs)
	}
}

// TestManyFaults: people are shown a hundred and how many more there are, editors a thousand, and every file that is faulty is told at once.
func TestManyFaults(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	keys := ""
	for i := range 1500 {
		keys += fmt.Sprintf("    x%d: 1\n", i)
	}
	u.Write("compose.yaml", "services:\n  web:\n    image: x\n"+keys)
	code, _, errs := u.Run("config")
	if code != 1 || strings.Count(errs, "unknown key") != 100 || !strings.HasSuffix(errs, "error: and 1400 more errors\n") {
		t.Errorf("code %d, %d faults, at the end %q", code, strings.Count(errs, "unknown key"), errs[max(0, len(errs)-100):])
	}
	_, _, errs = u.Run("--diagnostics json config")
	var list diag.List
	if err := json.Unmarshal([]byte(errs), &list); err != nil || len(list) != 1001 || list[1000].Code != diag.CodeMore || list[1000].More != 500 {
		t.Errorf("as JSON: %v, %d faults", err, len(list))
	}
	u.Write("compose.yaml", "services:\n  web: {image: x, env_file: [a.env, {path: b.env, format: raw}], label_file: [l.env, none.env]}\n  db: {image: x, env_file: a.env}\n")
	u.Write("a.env", "A B=1\nC=${\nD=1\n=\n")
	u.Write("b.env", "=1\nA=1\nB C=2\n")
	u.Write("l.env", "good=1\nnot good=1\n")
	_, _, errs = u.Run("config")
	for _, place := range []string{"a.env:1:1", "a.env:2:3", "a.env:4:1", "b.env:1:1", "b.env:3:1", "l.env:2:1", "compose.yaml:2:86"} {
		if strings.Count(errs, place+": error: ") != 1 {
			t.Errorf("%s is not told once:\n%s", place, errs)
		}
	}
	u.Write("compose.yaml", "include: [{path: [x.yaml, y.yaml], env_file: [a.env, b.env]}, z.yaml]\n")
	if _, _, errs = u.Run("config"); strings.Count(errs, "no such file") != 3 {
		t.Errorf("not every include that is missing is told:\n%s", errs)
	}
	u.Write("w.yaml", "services: {w: {image: x}}\n")
	u.Write("compose.yaml", "include: [{path: w.yaml, env_file: [a.env, l.env]}]\n")
	if _, _, errs = u.Run("config"); strings.Count(errs, "invalid env file") != 4 {
		t.Errorf("not every fault of an include's env files is told:\n%s", errs)
	}
}

// TestConfigHidesSecrets: what people look at has no secrets in it and cannot be taken for the whole; what programs read is whole.
func TestConfigHidesSecrets(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", `
services:
  db:
    image: postgres
    command: [run, --token=abc123, "${REDIS_PASSWORD}"]
    environment:
      DB_PASSWORD: hunter2
      DB_PASSWORD_FILE: /run/secrets/db
      EMPTY_TOKEN: ""
      URL: redis://u:${REDIS_PASSWORD}@redis/0
      USER: me
    labels: {traefik.http.routers.auth.rule: Host, app.token: xyzzy}
`)
	u.Env["REDIS_PASSWORD"] = "s3cret-s3cret"
	secrets := []string{"hunter2", "abc123", "s3cret", "xyzzy"}
	_, shown, _ := u.Run("config")
	for _, s := range secrets {
		if strings.Contains(shown, s) {
			t.Errorf("config shows %q:\n%s", s, shown)
		}
	}
	stacktest.Wants(t, "config", shown, "DB_PASSWORD: ${HIDDEN:?use --show-secrets}", "DB_PASSWORD_FILE: /run/secrets/db", `EMPTY_TOKEN: ""`, "USER: me", "auth.rule: Host", "--token=${HIDDEN:?")
	u.Write("defaults.yaml", "services: {a: {image: \"x:${TAG:-1}\", user: \"${API_TOKEN:-hunter2}\"}}")
	_, variables, _ := u.Run("-f " + filepath.Join(u.Dir, "defaults.yaml") + " config --variables")
	if strings.Contains(variables, "hunter2") || !strings.Contains(variables, "(hidden)") {
		t.Errorf("config --variables shows a secret: %s", variables)
	}
	_, environment, _ := u.Run("config --environment")
	stacktest.Wants(t, "--environment", environment, "REDIS_PASSWORD=(hidden)")
	if strings.Contains(environment, "s3cret") {
		t.Errorf("config --environment shows a secret: %s", environment)
	}
	u.Run("config -o " + filepath.Join(u.Dir, "whole.yaml"))
	file, err := os.ReadFile(filepath.Join(u.Dir, "whole.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, json, _ := u.Run("config --format json")
	_, all, _ := u.Run("config --show-secrets")
	_, env, _ := u.Run("config --environment --show-secrets")
	stacktest.Wants(t, "--show-secrets", all, secrets...)
	stacktest.Wants(t, "json", json, secrets...)
	stacktest.Wants(t, "file", string(file), secrets...)
	stacktest.Wants(t, "--environment --show-secrets", env, "REDIS_PASSWORD=s3cret-s3cret")

	u.Write("shown.yaml", shown)
	if code, _, errs := u.Run("-f " + filepath.Join(u.Dir, "shown.yaml") + " config -q"); code == 0 || !strings.Contains(errs, "use --show-secrets") {
		t.Errorf("what was hidden is loaded again: code %d, %s", code, errs)
	}
}
