package root_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

func TestCompletion(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	for line, want := range map[string]string{
		"__complete logs ":       "batch db web :4",
		"__complete logs db ":    "batch web :4",
		"__complete exec ":       "batch db web :4",
		"__complete exec db ":    ":0",
		"__complete run db ":     ":0",
		"__complete attach db ":  ":4",
		"__complete export db ":  ":4",
		"__complete port db ":    ":4",
		"__complete restart w":   "batch db web :4",
		"__complete plan ":       "batch db web :4",
		"__complete drift ":      ":4",
		"__complete why ":        "batch db web :4",
		"__complete apply ":      ":0",
		"__complete scale ":      "batch= db= web= :6",
		"__complete scale db=2 ": "batch= web= :6",
		"__complete scale db=":   ":4",
		"__complete rollback ":   ":4",
		"__complete version ":    ":4",
		"__complete completion":  "completion",
	} {
		words := strings.Fields(line)
		if strings.HasSuffix(line, " ") {
			words = append(words, "")
		}
		_, out, _ := u.Args(words...)
		if got := strings.Join(strings.Fields(out), " "); !strings.HasPrefix(got, want) {
			t.Errorf("stack %s: %q, want %q", line, got, want)
		}
	}
}

// The script is one that bash takes, and says what to call.
func TestCompletionScript(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	u := stacktest.NewPerson(t, nil)
	code, script, errs := u.Run("completion bash")
	if code != 0 {
		t.Fatal(errs)
	}
	cmd := exec.Command(bash, "--norc", "-c", script+"\ncomplete -p stack")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "__start_stack") {
		t.Errorf("%v: %s", err, out)
	}
}
