package build_test

import (
	"fmt"
	"testing"

	"github.com/stackrun/stack/build"
)

// tenInstructions is the Dockerfile of the table in docs: %d makes a RUN another one.
const tenInstructions = `FROM busybox
ENV A=1
WORKDIR /app
COPY small /app/
RUN echo %[1]d >/one
RUN echo %[1]d >/two
RUN echo %[2]d >/three
COPY other /app/other
CMD ["cat", "/app/small"]
LABEL a=b
`

// BenchmarkBuild measures a build of ten instructions: of which nothing, all, or all before the last RUN were built before.
func BenchmarkBuild(b *testing.B) {
	tagged := func(r *build.Request) { r.Tags = []string{"bench:1"} }
	prepare := func(b *testing.B) *host {
		h := newHost(b)
		h.write("small", "small")
		h.write("other", "other")
		h.make(fmt.Sprintf(tenInstructions, 0, 0), tagged)
		b.ResetTimer()
		return h
	}
	b.Run("cold", func(b *testing.B) {
		h := prepare(b)
		for i := 1; i <= b.N; i++ {
			h.make(fmt.Sprintf(tenInstructions, i, i), tagged, func(r *build.Request) { r.NoCache = true })
		}
		b.StopTimer()
	})
	b.Run("cached", func(b *testing.B) {
		h := prepare(b)
		for range b.N {
			h.make(fmt.Sprintf(tenInstructions, 0, 0), tagged)
		}
		b.StopTimer()
	})
	b.Run("lastRun", func(b *testing.B) {
		h := prepare(b)
		for i := 1; i <= b.N; i++ {
			h.make(fmt.Sprintf(tenInstructions, 0, i), tagged)
		}
		b.StopTimer()
	})
}
