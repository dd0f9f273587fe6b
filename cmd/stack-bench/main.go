package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/stackrun/stack/internal/sandbox"
)

func main() { os.Exit(sandbox.Run(inside)) }

func inside() int {
	var (
		bin  = flag.String("bin", "bin/stack", "the binary to measure")
		only = flag.String("only", "", "rows to measure, a regular expression")
		runs = flag.Int("runs", 5, "how often each figure is taken")
		who  = flag.String("engines", "stack,docker,podman,runc,crun", "what to measure, comma separated; what is not installed is left out")
		data = flag.String("data", "/var/tmp", "directory for a few GiB of data")
	)
	flag.Parse()
	if !sandbox.Active() {
		fmt.Fprintln(os.Stderr, "bench: cannot measure without a sandbox of namespaces, which takes root")
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *bin, *data, *only, strings.Split(*who, ","), *runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, bin, data, only string, who []string, runs int) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("cannot choose rows: %w", err)
	}
	m, err := newMachine(ctx, bin, data)
	if err != nil {
		return err
	}
	defer m.close()
	for _, e := range m.engines() {
		if !slices.Contains(who, e.name()) {
			continue
		}
		if err := e.start(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", e.name(), err)
			continue
		}
		defer e.stop()
		m.running = append(m.running, e)
	}
	r := newReport(os.Stdout, m)
	for _, row := range rows() {
		if !pattern.MatchString(row.work) {
			continue
		}
		if err := r.row(ctx, row, runs); err != nil {
			return err
		}
	}
	r.close()
	return nil
}
