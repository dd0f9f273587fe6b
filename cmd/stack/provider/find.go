package provider

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Program is one that is there.
type Program struct {
	Name string // as the file has it
	Path string
	Env  []string // its whole environment
	Dir  string   // where it runs
}

// pluginDirs are where docker looks for its plugins besides the user's own directory.
var pluginDirs = []string{"/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins"}

// Find looks for docker's plugin called name, then for a program of that name in PATH. env is what it runs with; dir is where. Its error says
// in a clause why there is none, and is ErrNotFound.
func Find(name string, env map[string]string, dir string) (*Program, error) {
	if name == "compose" {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, errors.New("compose is no provider: it would call itself"))
	}
	if name == "" || strings.ContainsRune(name, '/') {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%q is not the name of a program", name))
	}
	if path := plugin(name, env); path != "" {
		return program(name, path, env, dir), nil
	}
	for _, d := range filepath.SplitList(env["PATH"]) {
		if path := filepath.Join(d, name); filepath.IsAbs(path) && runnable(path) { // not one of the directory that the file happens to be in
			return program(name, path, env, dir), nil
		}
	}
	return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is neither a docker plugin docker-%s nor a program %s in PATH", name, name))
}

// FindPlugin is Find for docker's plugins alone.
func FindPlugin(name string, env map[string]string, dir string) (*Program, error) {
	if path := plugin(name, env); path != "" {
		return program(name, path, env, dir), nil
	}
	return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no docker plugin docker-%s", name))
}

func plugin(name string, env map[string]string) string {
	own := env["DOCKER_CONFIG"]
	if own == "" && env["HOME"] != "" {
		own = filepath.Join(env["HOME"], ".docker")
	}
	dirs := pluginDirs
	if own != "" {
		dirs = append([]string{filepath.Join(own, "cli-plugins")}, dirs...)
	}
	for _, d := range dirs {
		if path := filepath.Join(d, "docker-"+name); runnable(path) {
			return path
		}
	}
	return ""
}

func runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func program(name, path string, env map[string]string, dir string) *Program {
	p := &Program{Name: name, Path: path, Dir: dir}
	for k, v := range env {
		if k != "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" { // a plugin takes it for docker's call
			p.Env = append(p.Env, k+"="+v)
		}
	}
	return p
}
