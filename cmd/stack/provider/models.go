package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Model is one that services use, as the file has it.
type Model struct {
	Ref          string
	ContextSize  int64 // tokens, 0 = the runner's default
	RuntimeFlags []string
}

// flagsSince is the version of docker-model that takes flags of the runtime.
var flagsSince = [3]int{1, 0, 6}

// Models are the names of the models that the runner has. p is docker's plugin for models; so it is for the methods below.
func (p *Program) Models(ctx context.Context) ([]string, error) {
	out, err := p.output(ctx, nil, "ls", "--json")
	if err != nil {
		return nil, err
	}
	var list []struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("%s ls: it answered no list of models: %v", p.Name, err)
	}
	var names []string
	for _, m := range list {
		names = append(names, m.Tags...)
	}
	return names, nil
}

// PullModel has the runner fetch a model. info is told how far it is.
func (p *Program) PullModel(ctx context.Context, ref string, info func(string)) error {
	_, err := p.output(ctx, info, "pull", ref)
	return err
}

// ConfigureModel says how a model is to be run. left are the flags that this version of the plugin cannot be given.
func (p *Program) ConfigureModel(ctx context.Context, m Model) (left []string, _ error) {
	args := []string{"configure"}
	if m.ContextSize > 0 {
		args = append(args, "--context-size", strconv.FormatInt(m.ContextSize, 10))
	}
	args = append(args, m.Ref)
	if len(m.RuntimeFlags) > 0 {
		if slices.Compare(p.version(ctx), flagsSince[:]) < 0 {
			left = m.RuntimeFlags
		} else {
			args = append(append(args, "--"), m.RuntimeFlags...)
		}
	}
	_, err := p.output(ctx, nil, args...)
	return left, err
}

// Endpoint is where the runner answers.
func (p *Program) Endpoint(ctx context.Context) (string, error) {
	out, err := p.output(ctx, nil, "status", "--json")
	if err != nil {
		return "", err
	}
	var status struct {
		Endpoint string `json:"endpoint"`
	}
	if err := json.Unmarshal(out, &status); err != nil || status.Endpoint == "" {
		return "", fmt.Errorf("%s status: it names no endpoint", p.Name)
	}
	return status.Endpoint, nil
}

// version is the plugin's, by docker's protocol for plugins; nil when it does not say.
func (p *Program) version(ctx context.Context) []int {
	out, err := p.output(ctx, nil, "docker-cli-plugin-metadata")
	var said struct{ Version string }
	if err != nil || json.Unmarshal(out, &said) != nil {
		return nil
	}
	whole, _, _ := strings.Cut(strings.TrimPrefix(said.Version, "v"), "-")
	var v []int
	for part := range strings.SplitSeq(whole, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		v = append(v, n)
	}
	return v
}

// output is what the program writes to stdout; with info, that is told it line by line.
func (p *Program) output(ctx context.Context, info func(string), args ...string) ([]byte, error) {
	cmd := p.command(ctx, args...)
	out, stderr := &bounded{max: maxSaid}, &tail{max: maxQuoted}
	cmd.Stdout, cmd.Stderr = out, stderr
	if info != nil {
		cmd.Stdout = &lineWriter{each: info}
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err = ending(err, stderr); err != nil {
		return nil, fmt.Errorf("%s %s: %w", p.Name, args[0], plain(err))
	}
	return out.Bytes(), nil
}

// lineWriter hands over whole lines; carriage returns, by which programs redraw one, end them too.
type lineWriter struct {
	each func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexAny(w.rest, "\r\n")
		if i < 0 {
			break
		}
		if line := strings.TrimSpace(string(w.rest[:i])); line != "" {
			w.each(line)
		}
		w.rest = w.rest[i+1:]
	}
	if len(w.rest) > maxSaid {
		return 0, errors.New("a line is too long")
	}
	return len(p), nil
}
