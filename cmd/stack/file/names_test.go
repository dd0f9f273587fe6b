package file_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

func TestConfigNames(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	for line, want := range map[string]string{
		"config --services": "db web", "config --images": "nginx postgres", "config --profiles": "tools", "config -q": "",
		"--profile tools config --services": "batch db web", "config --services web": "db web",
	} {
		code, out, errs := u.Run(line)
		if got := strings.Join(strings.Fields(out), " "); code != 0 || got != want {
			t.Errorf("stack %s: %d, %q, %s", line, code, got, errs)
		}
	}
	if _, out, _ := u.Run("config"); !strings.Contains(out, "image: postgres") {
		t.Errorf("config printed %q", out)
	}
}

// TestConfigImagesOfEachService: an image comes once for each service that has it, and one of a step where it is another.
func TestConfigImagesOfEachService(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "services:\n  a: {image: \"nginx:1\", pre_start: [{command: x, image: \"nginx:1\"}, {command: x, image: tool}]}\n  b: {image: \"nginx:1\"}\n")
	if code, out, errs := u.Run("config --images"); code != 0 || out != "nginx:1\nnginx:1\ntool\n" {
		t.Errorf("%d, %q, %s", code, out, errs)
	}
}

// TestNamesNeedNoEnvFile: what lists names reads no env file, which need not be there yet; the rest says that it is not.
func TestNamesNeedNoEnvFile(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "services: {web: {image: nginx, env_file: later.env, volumes: [data:/data]}}\nvolumes: {data: }\n")
	for line, want := range map[string]string{"--services": "web", "--images": "nginx", "--volumes": "data", "--networks": "default", "--profiles": ""} {
		if code, out, errs := u.Run("config " + line); code != 0 || strings.TrimSpace(out) != want {
			t.Errorf("stack config %s: %d, %q, %s", line, code, out, errs)
		}
	}
	if code, _, errs := u.Run("config --quiet"); code == 0 || !strings.Contains(errs, "later.env") {
		t.Errorf("stack config --quiet: %d, %s", code, errs)
	}
}
