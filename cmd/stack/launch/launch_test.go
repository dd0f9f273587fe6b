package launch

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/daemonprog"
)

func TestTheDaemonKeepsNoSecretsOfTheCommandThatStartedIt(t *testing.T) {
	got := daemonEnv([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "STACK_IDLE=1s", "https_proxy=http://p", "DB_PASSWORD=y", "HOME=/root", "STACKPASS=z",
		"AWS_PROFILE=work", "AWS_SESSION_TOKEN=t", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus"})
	if want := []string{"PATH=/bin", "STACK_IDLE=1s", "https_proxy=http://p", "HOME=/root", "AWS_PROFILE=work", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTheDaemonsProgramIsOfTheSameVersion: a command does not run a daemon of another build, and says how to get one of its own.
func TestTheDaemonsProgramIsOfTheSameVersion(t *testing.T) {
	p, err := daemonprog.Carried()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIP: the daemon's program is not in this binary; `make init` builds it")
	}
	if err != nil {
		t.Fatal(err)
	}
	l := Launcher{Version: "another"}
	if _, err := l.carried(); err == nil || !strings.Contains(err.Error(), "it is version "+p.Version+", the command is version another\nbuild both with `make build`") {
		t.Error(err)
	}
	l.Version = p.Version
	if _, err := l.carried(); err != nil {
		t.Error(err)
	}
}
