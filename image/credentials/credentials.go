package credentials

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/internal/reference"
)

// Stored finds what docker login and podman login have stored.
type Stored struct {
	getenv func(string) string
	// helper runs docker-credential-<name> get with server on its standard input.
	helper func(ctx context.Context, name, server string) ([]byte, error)
}

// authFile is the part of a docker config.json, and of podman's auth.json, that is about credentials.
// https://docs.docker.com/reference/cli/docker/login/#credential-stores
type authFile struct {
	Auths       map[string]authEntry `json:"auths"`
	CredsStore  string               `json:"credsStore"`
	CredHelpers map[string]string    `json:"credHelpers"`
}

type authEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// New looks up in getenv where they are; nil = os.Getenv.
func New(getenv func(string) string) Stored {
	if getenv == nil {
		getenv = os.Getenv
	}
	return Stored{getenv: getenv, helper: runHelper}
}

// files lists where credentials may be, first found wins for a host. REGISTRY_AUTH_FILE is asked for by name, so it is first.
func (c Stored) files() []string {
	var list []string
	add := func(dir string, elem ...string) {
		if dir != "" {
			list = append(list, filepath.Join(append([]string{dir}, elem...)...))
		}
	}
	add(c.getenv("REGISTRY_AUTH_FILE"))
	if dir := c.getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(c.getenv("HOME"), ".docker", "config.json")
	}
	add(c.getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if dir := c.getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(c.getenv("HOME"), ".config", "containers", "auth.json")
	}
	return list
}

// maxAuthFile bounds what is read of a file that is a few kilobytes in practice.
const maxAuthFile = 4 << 20

// Lookup returns what to show to host. What cannot be read or a helper that fails means anonymous, with a warning:
// most images are public, and that must not depend on a keyring that headless hosts do not have.
func (c Stored) Lookup(ctx context.Context, host string) (authn.Authenticator, string) {
	var warnings []string
	for _, path := range c.files() {
		file, err := readAuthFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("cannot read credentials of %s: %v", path, err))
			continue
		}
		entry, err := c.entry(ctx, file, host)
		if err != nil {
			warnings = append(warnings, err.Error())
			continue
		}
		if entry != (authn.AuthConfig{}) {
			return authn.FromConfig(entry), ""
		}
	}
	return authn.Anonymous, strings.Join(warnings, "; ")
}

func readAuthFile(path string) (authFile, error) {
	var file authFile
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer f.Close()
	b, err := content.ReadAll(f, maxAuthFile, path)
	if err != nil {
		return file, err
	}
	return file, json.Unmarshal(b, &file)
}

// entry asks the helper that the file names for host, or takes what the file itself holds.
func (c Stored) entry(ctx context.Context, file authFile, host string) (authn.AuthConfig, error) {
	servers := serverNames(host)
	for _, server := range servers {
		if name := file.CredHelpers[server]; name != "" {
			return c.ask(ctx, name, server)
		}
	}
	for key, e := range file.Auths {
		if !matchesServer(key, servers) {
			continue
		}
		// With a store, the file has an empty entry that only says that the store knows the host.
		if entry, err := e.decode(key); err != nil || entry != (authn.AuthConfig{}) {
			return entry, err
		}
	}
	if file.CredsStore != "" {
		return c.ask(ctx, file.CredsStore, servers[0])
	}
	return authn.AuthConfig{}, nil
}

// DockerHub is where docker.io really is.
const DockerHub = "index.docker.io"

// serverNames are the keys that clients use for host; docker.io has its own for historical reasons.
func serverNames(host string) []string {
	if host == DockerHub || host == reference.DefaultHost {
		return []string{"https://index.docker.io/v1/", "index.docker.io", "docker.io"}
	}
	return []string{host, "https://" + host, "http://" + host}
}

// matchesServer compares without scheme and path: old clients wrote https://host/v1/.
func matchesServer(key string, servers []string) bool {
	for _, server := range servers {
		if key == server || ServerHost(key) == ServerHost(server) {
			return true
		}
	}
	return false
}

// ServerHost is the host of a server as clients write it: with a scheme and a path, or without.
func ServerHost(key string) string {
	_, after, found := strings.Cut(key, "://")
	if found {
		key = after
	}
	host, _, _ := strings.Cut(key, "/")
	return host
}

func (e authEntry) decode(key string) (authn.AuthConfig, error) {
	a := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth != "" {
		b, err := base64.StdEncoding.DecodeString(e.Auth)
		user, pass, ok := strings.Cut(strings.TrimRight(string(b), "\x00"), ":")
		if err != nil || !ok {
			return authn.AuthConfig{}, fmt.Errorf("credentials of %s are not base64 of user:password", key)
		}
		a.Username, a.Password = user, pass
	}
	return a, nil
}

// helperName keeps a configuration from naming a program by path.
var helperName = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

func (c Stored) ask(ctx context.Context, name, server string) (authn.AuthConfig, error) {
	if !helperName.MatchString(name) {
		return authn.AuthConfig{}, fmt.Errorf("credential helper %q is not the name of a program", name)
	}
	out, err := c.helper(ctx, name, server)
	if err != nil {
		if errors.Is(err, errNoCredentials) {
			return authn.AuthConfig{}, nil
		}
		return authn.AuthConfig{}, fmt.Errorf("credential helper docker-credential-%s failed: %w", name, err)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return authn.AuthConfig{}, fmt.Errorf("credential helper docker-credential-%s answered no JSON", name)
	}
	// "If the secret being stored is an identity token, the Username should be set to <token>":
	// https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol
	if answer.Username == "<token>" {
		return authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}

var errNoCredentials = errors.New("credentials not found")

// helperTimeout ends helpers that wait for a desktop to ask the user on.
const helperTimeout = 10 * time.Second

func runHelper(ctx context.Context, name, server string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker-credential-"+name, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	// Helpers say on stdout what went wrong; this sentence is part of their protocol.
	said := strings.TrimSpace(stdout.String())
	if strings.Contains(said, "credentials not found") {
		return nil, errNoCredentials
	}
	if said == "" {
		said, _, _ = strings.Cut(strings.TrimSpace(stderr.String()), "\n")
	}
	if said != "" {
		return nil, fmt.Errorf("%w: %.200s", err, said)
	}
	return nil, err
}
