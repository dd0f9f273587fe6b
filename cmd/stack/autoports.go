package main

import (
	"strconv"

	"fmt"

	"github.com/stackrun/stack/reconcile/ask"
)

// autoPortsEnv is the variable, of the environment or .env, that --auto-ports is the flag of.
const autoPortsEnv = "STACK_AUTO_PORTS"

// hostPorts is UpOptions.Ports: what the flag says if it was given, else what the variable says. Only the flag takes back what was chosen.
func (a *app) hostPorts(flag, given bool) (string, error) {
	text := a.env[autoPortsEnv]
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
		return "", fmt.Errorf("%s=%q: expected 1 or 0", autoPortsEnv, text)
	}
	if yes {
		return ask.PortsAuto, nil
	}
	return "", nil
}
