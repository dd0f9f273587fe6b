package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// dockerfile has ten instructions. first makes all of it new, last the last RUN only; the engine's cache may know the rest.
const dockerfile = `FROM ` + small + `
ENV FIRST=%s
WORKDIR /app
COPY go.mod go.mod
RUN echo one >one
RUN echo two >two
COPY src src
RUN echo %s >three
LABEL role=bench
CMD ["true"]
`

// build is of a project whose one service is built: as nothing of it was before, again, and with another last RUN.
func build(ctx context.Context, m *machine, e engine) ([]float64, error) {
	s, err := open(ctx, m, e, "services:\n  one:\n    image: bench-built:1\n    build: .\n")
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := os.MkdirAll(filepath.Join(s.dir, "src"), 0o755); err != nil {
		return nil, err
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(s.dir, "src", fmt.Sprintf("file%d", i)), make([]byte, 10<<10), 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "go.mod"), []byte("module bench\n"), 0o644); err != nil {
		return nil, err
	}
	first := fmt.Sprint(time.Now().UnixNano())
	var out []float64
	for _, last := range []string{"a", "a", "b"} {
		if err := os.WriteFile(filepath.Join(s.dir, "Dockerfile"), fmt.Appendf(nil, dockerfile, first, last), 0o644); err != nil {
			return nil, err
		}
		took, err := timed(e.build(ctx, s.dir, "bench-built:1"))
		if err != nil {
			return nil, err
		}
		out = append(out, ms(took))
	}
	return out, nil
}
