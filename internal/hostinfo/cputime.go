package hostinfo

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPUTime is how long all processors of the host have been there since its boot, working or idle: the sum of the first eight columns of the first line of proc_stat(5). What docker calls the
// system's use of the processor, by which that of a container is measured.
func CPUTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("cannot read the host's processor time: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return parseCPUTime(line)
}

const userHZ = 100 // of /proc on every architecture that Go knows: include/asm-generic/param.h

func parseCPUTime(line string) (time.Duration, error) {
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, fmt.Errorf("cannot read the host's processor time: %q is not the first line of /proc/stat", line)
	}
	var ticks int64
	for _, column := range f[1:9] { // guest time, in the ninth and tenth, is in the first and second too
		n, err := strconv.ParseInt(column, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read the host's processor time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / userHZ), nil
}
