package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stackrun/stack/cmd/stack/daemon/options"
)

// Start starts a daemon when none answers, for the reason why, and waits until it is ready, or finds that another is. idle is for how long it stays with
// nothing to do.
func (l *Launcher) Start(ctx context.Context, why error, idle time.Duration) error {
	l.Listen()
	if errors.Is(why, fs.ErrPermission) {
		return fmt.Errorf("cannot reach the stack daemon on %s: permission denied\nrun the command as root, or as a member of the group of that socket", l.Roots.Socket())
	}
	return l.start(ctx, idle)
}

// mustRoot says what to do when a daemon cannot be started from here.
func (l *Launcher) mustRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("cannot start the stack daemon as uid %d: containers, networks and mounts need root\n"+
		"run the command with sudo, or have root run `stack daemon` and join the group of %s", os.Geteuid(), l.Roots.Socket())
}

// start runs the daemon's program in a session of its own and waits until it is ready, or finds that another is.
func (l *Launcher) start(ctx context.Context, idle time.Duration) error {
	if err := l.mustRoot(); err != nil {
		return err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	defer theirs.Close()
	log, err := openDaemonLog(l.Roots.InState())
	if err != nil {
		return fmt.Errorf("cannot start the stack daemon: %w\nmake %s a directory that root can write, or give another --state-root", err, l.Roots.State)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("cannot start the stack daemon: %w", err)
	}
	o := options.Options{Roots: l.Roots, Config: l.Config(), Idle: idle, AutoStarted: true, ReadyFD: 3}
	var cmd *exec.Cmd
	err = l.run(ctx, func(text string) { fmt.Fprintf(log, "warning: %s\n", text) }, func(path string) error {
		cmd = exec.Command(path, o.Line()...)
		cmd.Args[0] = "stack"
		cmd.Stdout, cmd.Stderr = log, log
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Env = daemonEnv(os.Environ())
		cmd.Dir = "/" // it must not keep a directory of the user's busy
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return cmd.Start()
	})
	if err != nil {
		return fmt.Errorf("cannot start the stack daemon: %w", err)
	}
	theirs.Close()
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Now()) }) //nolint:errcheck // a pipe can
	defer stop()
	answer, err := bufio.NewReader(ready).ReadString('\n')
	if err == nil && answer == options.Ready {
		cmd.Process.Release() //nolint:errcheck // it is nobody's child when this command has ended
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // what we started leaves by itself
	}
	cmd.Wait() //nolint:errcheck // its log says more than its status
	return fmt.Errorf("cannot start the stack daemon:\n%s", lastWords(log, from))
}

// daemonEnv is what of a command's environment the daemon that it starts keeps: what says where its things are, and how to
// reach registries. The rest may be secrets of whoever ran the command, which /proc/PID/environ would show for the daemon's life.
func daemonEnv(environ []string) []string {
	// Credential helpers are run by the daemon: where the credentials are may be said, not the credentials themselves.
	helpers := []string{"USER", "LOGNAME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "PASSWORD_STORE_DIR",
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_SDK_LOAD_CONFIG", "AWS_ROLE_ARN",
		"AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE", "AWS_ECR_CACHE_DIR", "AWS_ECR_DISABLE_CACHE",
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_ACTIVE_CONFIG_NAME", "AZURE_CONFIG_DIR", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"}
	// Settings of the language that the daemon is written in.
	language := []string{"GODEBUG", "GOTRACEBACK", "GOMEMLIMIT", "GOCOVERDIR", "GORACE"}
	var kept []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
			"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy":
			kept = append(kept, kv)
		default:
			if slices.Contains(helpers, name) || slices.Contains(language, name) || strings.HasPrefix(name, "STACK_") {
				kept = append(kept, kv)
			}
		}
	}
	return kept
}

// openDaemonLog opens <state>/daemon.log for appending; a large one is moved aside first.
func openDaemonLog(state string) (*os.File, error) {
	const large = 4 << 20 // bytes
	// 0700: no user of the host has business with the files of containers. A directory that is there has the mode that
	// somebody gave it; what is below it is closed as well.
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	path := state + "/daemon.log"
	if info, err := os.Stat(path); err == nil && info.Size() > large {
		os.Rename(path, path+".1") //nolint:errcheck // the log grows on, that is all
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
}

// lastWords is what the daemon has written since from, at most 20 lines.
func lastWords(log *os.File, from int64) string {
	text, err := io.ReadAll(io.NewSectionReader(log, from, 1<<20))
	if err != nil || len(strings.TrimSpace(string(text))) == 0 {
		return "it ended without a word; its log is " + log.Name()
	}
	lines := strings.Split(strings.TrimPrefix(strings.TrimRight(string(text), "\n"), "error: "), "\n")
	if len(lines) > 20 {
		lines = append([]string{"… (all of it: " + log.Name() + ")"}, lines[len(lines)-20:]...)
	}
	return strings.Join(lines, "\n")
}
