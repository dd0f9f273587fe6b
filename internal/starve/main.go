// Command starve runs a command on one processor and starves it: beside busy loops, threads of all its processes get what nobody else wants (SCHED_IDLE,
// sched(7)) for a fraction of a second each, chosen by chance and anew all the time.
//
//	starve [-cpu N] [-loops N] [-share F] [-seed N] COMMAND [ARG…]
//
// Whatever may come between two steps of a program comes between them then, and what goes wrong once in some hundred runs goes wrong in one of a few. The
// exit code is the command's. `make test-starved` runs the end-to-end tests so.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	cpu := flag.Int("cpu", runtime.NumCPU()-1, "the processor")
	loops := flag.Int("loops", 1, "busy loops on it")
	share := flag.Float64("share", 0.4, "chance that a thread is starved whenever it is decided anew")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "makes the same choices again, though not at the same moments")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "starve: -seed %d\n", *seed)
	code, err := run(*cpu, *loops, &starver{share: *share, random: rand.New(rand.NewPCG(*seed, 0)), until: map[int]time.Time{}}, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "starve:", err)
		code = 1
	}
	os.Exit(code)
}

// run starves words until it ends, and gives its exit code.
func run(cpu, loops int, s *starver, words []string) (int, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signal.Ignore(os.Interrupt) // from a terminal it comes to the command too, whose end is ours
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: what is set is the thread's, and its children's
		err := onCPU(cpu)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	if err := <-started; err != nil {
		return 0, err
	}
	for range loops {
		go func() {
			runtime.LockOSThread()
			if onCPU(cpu) == nil {
				for {
				}
			}
		}()
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(30 * time.Millisecond)
	for {
		select {
		case err := <-ended:
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				return 0, err
			}
			return cmd.ProcessState.ExitCode(), nil
		case now := <-tick.C:
			s.starve(cmd.Process.Pid, now)
		}
	}
}

// onCPU binds the calling thread to a processor.
func onCPU(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("cannot run on processor %d alone: %w", cpu, err)
	}
	return nil
}
