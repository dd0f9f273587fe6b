package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// figure is one number of a row.
type figure struct {
	work   string
	unit   string  // ms, MiB, Gbit/s, per s
	goal   float64 // what ours must reach, in the unit; 0 = what the kernel alone does, by the row's floor
	higher bool    // more is better
	margin float64 // the part of the goal that may be missing: what runs of the goal itself differ by
	pace   pace    // nil for what does not depend on the speed of the machine, or where no peer was measured
}

// pace is what peers took, by name, in the unit, on the machine that the goals were set on.
type pace map[string]float64

// docker29 is the pace of docker 29.7 with compose 5.5; 0 = not measured there.
func docker29(v float64) pace { return pace{"docker": v} }

// here is the goal on this machine: as much faster than each peer as it was there, by the peer that asks most. taken says what a
// peer took here, NaN where it did not run. NaN when no peer of the pace ran.
func (f figure) here(taken func(peer string) float64) float64 {
	strictest := math.NaN()
	for peer, there := range f.pace {
		if v := taken(peer); there > 0 && !math.IsNaN(v) && !(f.goal*v/there >= strictest) {
			strictest = f.goal * v / there
		}
	}
	return strictest
}

// row is figures that are taken together.
type row struct {
	work    string
	figures []figure
	once    bool // it takes long
	take    func(ctx context.Context, m *machine, e engine) ([]float64, error)
	floor   func(ctx context.Context, m *machine) ([]float64, error) // the same figures from the kernel alone, where these are the goal
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// rows are those of design.md, section 5.
func rows() []row {
	all := []row{
		{work: "memory of an idle daemon", figures: []figure{{unit: "MiB", goal: 20}}, once: true, take: func(ctx context.Context, _ *machine, e engine) ([]float64, error) {
			v, err := memory(ctx, e)
			if v == 0 && err == nil {
				err = errNot
			}
			return one(v, err)
		}},
		{work: "create, start, wait, delete, per container of 100", figures: []figure{{unit: "ms", goal: 3, pace: pace{"runc": 21, "crun": 7.4}}}, take: lives},
		{work: "run --rm true", figures: []figure{{work: "no network", unit: "ms", goal: 15, pace: docker29(143)}, {work: "bridge", unit: "ms", goal: 25, pace: docker29(214)}}, take: runs},
	}
	for i, n := range []int{1, 10, 50, 100} {
		all = append(all, row{work: fmt.Sprintf("%d services", n), take: project(n), figures: []figure{
			{work: "up -d", unit: "ms", goal: []float64{40, 100, 400, 800}[i], pace: docker29([]float64{230, 1400, 6400, 13500}[i])},
			{work: "up -d, nothing to do", unit: "ms", goal: []float64{15, 15, 20, 30}[i], pace: docker29([]float64{74, 102, 165, 255}[i])},
			{work: "exec true", unit: "ms", goal: 8, pace: docker29(52)},
			{work: "ps", unit: "ms", goal: 12, pace: docker29([]float64{0, 0, 0, 78}[i])},
			{work: "config", unit: "ms", goal: 15, pace: docker29([]float64{0, 0, 0, 71}[i])},
			{work: "memory per container", unit: "MiB", goal: 0.3},
			{work: "down -t0", unit: "ms", goal: []float64{30, 80, 250, 500}[i], pace: docker29([]float64{280, 940, 4000, 8200}[i])},
		}})
	}
	return append(all,
		row{work: "chain of 5 with health checks, interval 1s", figures: []figure{{unit: "ms", goal: 500, pace: docker29(6800)}}, take: chain},
		row{work: "pull and unpack, 8 layers", figures: []figure{{unit: "ms", goal: 1600, pace: docker29(4360)}}, take: func(ctx context.Context, _ *machine, e engine) ([]float64, error) {
			d, err := e.pull(ctx)
			return one(ms(d), err)
		}},
		row{work: "build of 10 instructions", figures: []figure{{work: "cold", unit: "ms", goal: 250, pace: docker29(1010)}, {work: "all cached", unit: "ms", goal: 30, pace: docker29(200)}, {work: "last RUN changed", unit: "ms", goal: 60, pace: docker29(390)}}, take: build},
		row{work: "1,000,000 lines of 100 bytes", figures: []figure{{work: "to their end", unit: "ms", goal: 500, pace: docker29(2670)}, {work: "logs", unit: "ms", goal: 600, pace: docker29(5400)}}, take: lines},
		row{work: "TCP", figures: []figure{{work: "between containers", unit: "Gbit/s", higher: true, margin: 0.1}, {work: "host to published port", unit: "Gbit/s", higher: true, margin: 0.1}}, take: tcp, floor: floorTCP},
		row{work: "DNS", figures: []figure{
			{work: "1 client", unit: "per s", goal: 20000, higher: true}, {work: "16 clients", unit: "per s", goal: 100000, higher: true},
			{work: "10 clients, 100 outstanding each", unit: "per s", goal: 150000, higher: true},
		}, take: names},
	)
}

func one(v float64, err error) ([]float64, error) { return []float64{v}, err }

func lives(ctx context.Context, _ *machine, e engine) ([]float64, error) {
	const n = 100
	var sum time.Duration
	for range n {
		d, err := e.life(ctx)
		if err != nil {
			return nil, err
		}
		sum += d
	}
	return []float64{ms(sum) / n}, nil
}

func runs(ctx context.Context, _ *machine, e engine) ([]float64, error) {
	off, err := timed(e.run(ctx, false))
	if err != nil {
		return nil, err
	}
	on, err := timed(e.run(ctx, true))
	return []float64{ms(off), ms(on)}, err
}

// scene is a project of one engine, down again when it is over.
type scene struct {
	ctx context.Context
	e   engine
	dir string
}

// open writes a Compose file. The directory, and so the project, is named after the engine.
func open(ctx context.Context, m *machine, e engine, yaml string) (*scene, error) {
	dir := filepath.Join(m.dir, "projects", e.name())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &scene{ctx, e, dir}, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(yaml), 0o644)
}

func (s *scene) do(args ...string) (time.Duration, error) {
	return timed(s.e.compose(s.ctx, s.dir, args...))
}

func (s *scene) say(args ...string) (string, error) {
	cmd, err := s.e.compose(s.ctx, s.dir, args...)
	if err != nil {
		return "", err
	}
	return output(cmd)
}

// close takes it down, whatever has become of it.
func (s *scene) close() {
	s.ctx = context.WithoutCancel(s.ctx)
	_, _ = s.do("down", "-t0", "--volumes")
}

func project(n int) func(context.Context, *machine, engine) ([]float64, error) {
	return func(ctx context.Context, m *machine, e engine) ([]float64, error) {
		var yaml strings.Builder
		yaml.WriteString("services:\n")
		for i := range n {
			fmt.Fprintf(&yaml, "  s%d:\n    image: %s\n    command: sleep infinity\n", i, small)
		}
		s, err := open(ctx, m, e, yaml.String())
		if err != nil {
			return nil, err
		}
		defer s.close()
		if _, err := once(ctx, e, s, n, 0); err != nil { // what an engine keeps of its work, or maps of its program, is no container's
			return nil, err
		}
		idle, err := memory(ctx, e)
		if err != nil {
			return nil, err
		}
		return once(ctx, e, s, n, idle)
	}
}

// once takes the figures of project: up and down with all between. idle is what the engine uses without the containers, in MiB; 0 does not measure memory.
func once(ctx context.Context, e engine, s *scene, n int, idle float64) ([]float64, error) {
	var out []float64
	add := func(d time.Duration, err error) error {
		out = append(out, ms(d))
		return err
	}
	for _, args := range [][]string{{"up", "-d"}, {"up", "-d"}} {
		if err := add(s.do(args...)); err != nil {
			return nil, err
		}
	}
	if err := add(timed(e.exec(ctx, s.dir, e.name()+"-s0-1", "s0"))); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"ps"}, {"config", "--quiet"}} {
		if err := add(s.do(args...)); err != nil {
			return nil, err
		}
	}
	if idle != 0 {
		running, err := memory(ctx, e)
		if err != nil {
			return nil, err
		}
		out = append(out, max(0, running-idle)/float64(n))
	}
	return out, add(s.do("down", "-t0"))
}

func chain(ctx context.Context, m *machine, e engine) ([]float64, error) {
	var yaml strings.Builder
	yaml.WriteString("services:\n")
	for i := range 5 {
		fmt.Fprintf(&yaml, "  s%d:\n    image: %s\n    command: sleep infinity\n    healthcheck: {test: [CMD, \"true\"], interval: 1s}\n", i, small)
		if i > 0 {
			fmt.Fprintf(&yaml, "    depends_on: {s%d: {condition: service_healthy}}\n", i-1)
		}
	}
	s, err := open(ctx, m, e, yaml.String())
	if err != nil {
		return nil, err
	}
	defer s.close()
	d, err := s.do("up", "-d", "--wait")
	return one(ms(d), err)
}

func lines(ctx context.Context, m *machine, e engine) ([]float64, error) {
	s, err := open(ctx, m, e, "services:\n  one:\n    image: "+small+"\n    command: [probe, lines, \"1000000\", \"100\"]\n    network_mode: none\n")
	if err != nil {
		return nil, err
	}
	defer s.close()
	start := time.Now()
	if _, err := s.do("up", "-d"); err != nil {
		return nil, err
	}
	if _, err := s.do("wait", "one"); err != nil && !strings.Contains(err.Error(), "exited") {
		return nil, err
	}
	write := time.Since(start)
	cmd, err := e.compose(ctx, s.dir, "logs", "--no-log-prefix", "one")
	if err != nil {
		return nil, err
	}
	var counted counter
	cmd.Stdout = &counted
	read, err := timed(cmd, nil)
	if err == nil && counted != 1_000_000 {
		err = fmt.Errorf("logs showed %d lines", counted)
	}
	return []float64{ms(write), ms(read)}, err
}

// counter counts lines.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			*c++
		}
	}
	return len(p), nil
}

const pair = `services:
  server:
    image: ` + small + `
    command: [probe, sink, ":9000"]
    ports: ["127.0.0.1:9900:9000"]
  client:
    image: ` + small + `
    command: [probe, pause]
`

func tcp(ctx context.Context, m *machine, e engine) ([]float64, error) {
	s, err := open(ctx, m, e, pair)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.do("up", "-d"); err != nil {
		return nil, err
	}
	between, err := s.say("exec", "-T", "client", "probe", "source", "server:9000", "2000")
	if err != nil {
		return nil, err
	}
	from, err := output(m.probe(ctx, "source", "127.0.0.1:9900", "2000"))
	if err != nil {
		return nil, err
	}
	return numbers(between, from)
}

func names(ctx context.Context, m *machine, e engine) ([]float64, error) {
	s, err := open(ctx, m, e, pair)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.do("up", "-d"); err != nil {
		return nil, err
	}
	var said []string
	for _, load := range [][2]string{{"1", "1"}, {"16", "1"}, {"10", "100"}} {
		v, err := s.say("exec", "-T", "client", "probe", "dns", "server", load[0], load[1], "1000")
		if err != nil {
			return nil, err
		}
		said = append(said, v)
	}
	return numbers(said...)
}
