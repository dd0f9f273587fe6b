package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

// lifecycle is what stop, start, restart, kill and rm have in common.
func (a *app) lifecycle(ctx context.Context, services []string, o ask.ServiceOptions,
	do func(*client.Client, context.Context, string, ask.ServiceOptions, event.Sink) error) error {
	name, daemon, err := a.reach(ctx, services)
	if err != nil {
		return err
	}
	o.Services = services
	return do(daemon, ctx, name, o, a.progress().Event)
}

// confirm asks on stderr; anything but y or yes is no, the end of input too.
func (a *app) confirm(question string) bool {
	fmt.Fprintf(a.err, "%s [yN] ", question)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(a.err)
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
