package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// dockerModel is docker's plugin for models as stack calls it: it notes its calls, and has what was pulled.
const dockerModel = `#!/bin/sh
here=$(dirname "$0")
case "$1" in
docker-cli-plugin-metadata) cat "$here/version"; exit ;;
ls) cat "$here/list" 2>/dev/null || echo '[]'; exit ;;
status) cat "$here/status"; exit ;;
esac
echo "$@" >> "$here/calls"
[ "$1" = pull ] && printf 'half of it\rall of it\n' && echo '[{"tags":["ai/small","other"]}]' > "$here/list"
if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 4; fi
exit 0
`

// TestModels: what a service uses is fetched and configured by docker's plugin, and the service is told where it answers.
func TestModels(t *testing.T) {
	p := compose(t, "models", `
services:
  app:
    image: busybox
    init: true
    command: sleep 1000
    models:
      small-one:
      again: {endpoint_var: WHERE, model_var: WHICH}
  aside: {image: busybox, init: true, command: sleep 1000}
models:
  small-one: {model: ai/small, context_size: 1024, runtime_flags: [--fast, "--very"]}
  again: {model: ai/small, name: shown}
`)
	p.env = append(p.env, "DOCKER_CONFIG="+p.dir)
	for _, verb := range []string{"plan", "up"} { // without the plugin
		p.fails(1, []string{"compose.yaml:8:17: error: a model cannot be run: service app uses model small-one: there is no docker plugin docker-model",
			"compose.yaml:9:7: error: a model cannot be run: service app uses model again", "hint: install docker's model plugin"}, verb)
	}
	p.ok("up", "--detach", "aside") // which uses none
	equal(t, "containers", p.ok("ps", "--all", "--format", "{{.Name}}"), "models-aside-1\n")

	bin := filepath.Join(p.dir, "cli-plugins")
	write(t, filepath.Join(bin, "docker-model"), dockerModel)
	write(t, filepath.Join(bin, "version"), `{"SchemaVersion":"0.1.0","Version":"v1.2.0"}`)
	write(t, filepath.Join(bin, "status"), `{"running":true,"endpoint":"http://runner/v1"}`)
	if err := os.Chmod(filepath.Join(bin, "docker-model"), 0o755); err != nil {
		t.Fatal(err)
	}
	calls := func() string {
		raw, _ := os.ReadFile(filepath.Join(bin, "calls")) // not there: none
		os.Remove(filepath.Join(bin, "calls"))
		return string(raw)
	}
	contains(t, "the plan", p.run("plan").stderr, "warning: where a model answers is not known yet: up asks its runner first, and tells service app")
	equal(t, "calls of a plan", calls(), "")
	up := p.run("--progress", "plain", "up", "--detach", "--wait")
	equal(t, "calls", calls(), "pull ai/small\nconfigure ai/small\nconfigure --context-size 1024 ai/small -- --fast --very\n")
	contains(t, "progress", up.stderr, "Model shown  Pulling  all of it")
	contains(t, "progress", up.stderr, "Model small-one  Configured")
	const variables = "ai/small http://runner/v1 ai/small http://runner/v1\n"
	equal(t, "the variables", p.sh("app", "echo $SMALL_ONE_MODEL $SMALL_ONE_URL $WHICH $WHERE"), variables[:len(variables)-1])
	equal(t, "a plan", p.ok("plan"), "models: nothing to do\n")

	// An older plugin takes no flags, which is said; what is there is not pulled again; a one-off has the variables too.
	write(t, filepath.Join(bin, "version"), `{"Version":"v1.0.5"}`)
	contains(t, "flags that are left out", p.run("run", "--rm", "-T", "app", "true").stderr, "model small-one: this docker-model takes no runtime flags, --fast --very has no effect")
	equal(t, "calls", calls(), "configure ai/small\nconfigure --context-size 1024 ai/small\n")
	equal(t, "a one-off", p.ok("run", "--rm", "-T", "app", "sh", "-c", "echo $SMALL_ONE_MODEL $SMALL_ONE_URL $WHICH $WHERE"), variables)

	write(t, filepath.Join(bin, "fails"), "no room for it\n")
	p.fails(1, []string{"compose.yaml:9:7: error: cannot prepare model again: model configure: it exited with code 4", "no room for it"}, "up", "--detach")
	os.Remove(filepath.Join(bin, "fails"))
	write(t, filepath.Join(bin, "status"), "{}")
	p.fails(1, []string{"model status: it names no endpoint"}, "up", "--detach")
}
