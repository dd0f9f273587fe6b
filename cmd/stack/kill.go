package main

import (
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile"
)

func newKillCommand(a *app) *cobra.Command {
	var o reconcile.ServiceOptions
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers, SIGKILL unless said",
		RunE: func(cmd *cobra.Command, services []string) error {
			if !isSignal(o.Signal) {
				return usageError("invalid --signal %q, expected a name such as SIGTERM or a number", o.Signal)
			}
			return a.lifecycle(cmd.Context(), services, o, (*client.Client).Kill)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Signal, "signal", "s", "SIGKILL", "The signal: a name with or without SIG, or a number")
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	return cmd
}

// isSignal says whether s is a signal's name or number.
func isSignal(s string) bool {
	if s == "" || strings.Trim(s, "0123456789") == "" {
		return s != "" && s != "0" && len(s) <= 2
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return unix.SignalNum(name) != 0 || strings.HasPrefix(name, "SIGRTM")
}
