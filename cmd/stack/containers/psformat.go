package containers

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/ask"
)

// psRow is a container with the keys of docker compose's ps --format json.
type psRow struct {
	Command      string
	CreatedAt    string
	Engine       string // of docker compose's: always empty here
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Name         string
	Names        string
	Networks     string
	Ports        string
	Project      string
	Publishers   []ask.Publisher
	RunningFor   string
	Service      string
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// Label is for templates: the value of one label.
func (r psRow) Label(name string) string { return r.labels[name] }

// Characters that docker ps shows.
const (
	shortCommand = 20
)

// newPsRow is c as ps shows it at now.
func newPsRow(c ask.Container, now time.Time, fullCommand, fullID bool) psRow {
	command, id := c.CommandLine(), c.ID
	if !fullID {
		id = objectid.Short(id)
	}
	if r := []rune(command); !fullCommand && len(r) > shortCommand {
		command = string(r[:shortCommand-1]) + "…"
	}
	r := psRow{
		Command: strconv.Quote(command), CreatedAt: c.CreatedAt.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		Health: c.Health, ID: id, Image: c.Image, Labels: formatter.Labels(c.Labels), LocalVolumes: "0",
		Mounts: strings.Join(c.Mounts, ","), Name: c.Name, Names: c.Name,
		Networks: strings.Join(slices.Sorted(maps.Keys(c.Networks)), ","), Ports: ports(c.Ports), Project: c.Project,
		Publishers: c.Ports, RunningFor: formatter.Duration(now.Sub(c.CreatedAt)) + " ago", Service: c.Service, Size: "0B",
		State: c.State, Status: status(c, now), labels: c.Labels,
	}
	r.Publishers = slices.Clone(r.Publishers)
	if r.Publishers == nil {
		r.Publishers = []ask.Publisher{}
	}
	for i := range r.Publishers {
		r.Publishers[i].Asked = "" // docker compose has no such key
	}
	if c.Exit != nil && c.State != "running" {
		r.ExitCode = c.Exit.Code
	}
	return r
}

// status is docker's sentence: "Up 2 minutes (healthy)", "Exited (0) 3 seconds ago".
func status(c ask.Container, now time.Time) string {
	up := "Up " + formatter.Duration(now.Sub(c.StartedAt))
	switch c.State {
	case "running":
		if c.LogError != "" {
			up += " (log incomplete)"
		}
		switch c.Health {
		case "":
			return up
		case "starting":
			return up + " (health: starting)"
		}
		return up + " (" + c.Health + ")"
	case "paused":
		return up + " (Paused)"
	case "created":
		return "Created"
	}
	word := strings.ToUpper(c.State[:min(1, len(c.State))]) + c.State[min(1, len(c.State)):]
	if c.Exit == nil {
		return word
	}
	s := fmt.Sprintf("%s (%d) %s ago", word, c.Exit.Code, formatter.Duration(now.Sub(c.Exit.FinishedAt)))
	if c.Exit.OOM {
		s += " (out of memory)"
	}
	return s
}

// ports is docker's sentence; ranges of both sides are joined: 0.0.0.0:8000-8001->80-81/tcp.
func ports(list []ask.Publisher) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b ask.Publisher) int {
		if c := strings.Compare(a.Protocol, b.Protocol); c != 0 {
			return c
		}
		if c := strings.Compare(a.URL, b.URL); c != 0 {
			return c
		}
		if c := a.TargetPort - b.TargetPort; c != 0 {
			return c
		}
		return a.PublishedPort - b.PublishedPort
	})
	var all []string
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n].URL == list[i].URL && list[i+n].Protocol == list[i].Protocol && list[i].PublishedPort != 0 &&
			list[i+n].TargetPort == list[i].TargetPort+n && list[i+n].PublishedPort == list[i].PublishedPort+n {
			n++
		}
		p := list[i]
		text := span(p.TargetPort, n) + "/" + p.Protocol
		if p.PublishedPort != 0 {
			host := p.URL
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			if host != "" {
				host += ":"
			}
			text = host + span(p.PublishedPort, n) + "->" + text
		}
		all = append(all, text)
		i += n
	}
	return strings.Join(all, ", ")
}

func span(from, n int) string {
	if n == 1 {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, from+n-1)
}
