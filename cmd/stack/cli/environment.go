package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
)

// Environment is the variables of the process, with what .env adds of COMPOSE_*.
type Environment map[string]string

// OfProcess is this process's environment.
func OfProcess() Environment {
	env := Environment{}
	for _, kv := range os.Environ() {
		for i := 1; i < len(kv); i++ {
			if kv[i] == '=' {
				env[kv[:i]] = kv[i+1:]
				break
			}
		}
	}
	return env
}

// Truthy says whether a variable says yes.
func (e Environment) Truthy(variable string) bool {
	switch strings.ToLower(e[variable]) {
	case "1", "t", "true", "y", "yes", "on":
		return true
	}
	return false
}

// Resolve gives KEY of a list of KEY=VALUE and KEY the value that it has here; one that it does not have is left out.
func (e Environment) Resolve(list []string) []string {
	var env []string
	for _, kv := range list {
		if strings.Contains(kv, "=") {
			env = append(env, kv)
		} else if v, ok := e[kv]; ok {
			env = append(env, kv+"="+v)
		}
	}
	return env
}

// Idle is for how long a daemon that a command started stays with nothing to do.
func (e Environment) Idle() time.Duration {
	if d, err := time.ParseDuration(e["STACK_IDLE"]); err == nil && d >= 0 {
		return d
	}
	return 30 * time.Second
}

// autoPorts is the variable, of the environment or .env, that --auto-ports is the flag of.
const autoPorts = "STACK_AUTO_PORTS"

// HostPorts is UpOptions.Ports: what the flag says if it was given, else what the variable says. Only the flag takes back what was chosen.
func (e Environment) HostPorts(flag, given bool) (string, error) {
	text := e[autoPorts]
	switch {
	case given && flag:
		return ask.PortsAuto, nil
	case given:
		return ask.PortsOfFile, nil
	case text == "":
		return "", nil
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return "", fmt.Errorf("%s=%q: expected 1 or 0", autoPorts, text)
	}
	if yes {
		return ask.PortsAuto, nil
	}
	return "", nil
}

// offline is the variable, of the environment or .env, that --offline is the flag of.
const offline = "STACK_OFFLINE"

// Offline says whether nothing may be fetched: as flag says, if it was given (nil = it was not), else as the variable does.
func (e Environment) Offline(flag *bool) (bool, error) {
	text := e[offline]
	switch {
	case flag != nil:
		return *flag, nil
	case text == "":
		return false, nil
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s=%q: expected 1 or 0", offline, text)
	}
	return yes, nil
}

// RemoveOrphans joins the flag with COMPOSE_REMOVE_ORPHANS.
func (e Environment) RemoveOrphans(flag, given bool) bool {
	if !given {
		flag = e.Truthy("COMPOSE_REMOVE_ORPHANS")
	}
	return flag
}
