package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// starver decides which threads are starved.
type starver struct {
	share  float64
	random *rand.Rand
	until  map[int]time.Time // by thread: when it is decided anew
}

// starve decides for each thread of root and its descendants for which it is time.
func (s *starver) starve(root int, now time.Time) {
	until := map[int]time.Time{}
	for _, pid := range descendants(root) {
		for _, tid := range numbers(filepath.Join("/proc", strconv.Itoa(pid), "task")) {
			if s.until[tid].After(now) {
				until[tid] = s.until[tid]
				continue
			}
			policy, least, most := uintptr(unix.SCHED_NORMAL), 100*time.Millisecond, 1500*time.Millisecond
			if s.random.Float64() < s.share {
				policy, most = unix.SCHED_IDLE, 500*time.Millisecond
			}
			setPolicy(tid, policy)
			until[tid] = now.Add(least + time.Duration(s.random.Int64N(int64(most-least))))
		}
	}
	s.until = until
}

// setPolicy leaves threads with a policy of their own, such as those of real time, as they are. One that has gone needs nothing.
func setPolicy(tid int, policy uintptr) {
	have, _, errno := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, uintptr(tid), 0, 0)
	if errno != 0 || have == policy || have != unix.SCHED_NORMAL && have != unix.SCHED_IDLE {
		return
	}
	var priority int32 // struct sched_param
	unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), policy, uintptr(unsafe.Pointer(&priority)))
}

// descendants are root and the processes below it.
func descendants(root int) []int {
	children := map[int][]int{}
	for _, pid := range numbers("/proc") {
		if parent := parentOf(pid); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// parentOf is 0 when the process has gone.
func parentOf(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // proc_pid_stat(5): the name before may have spaces
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}

// numbers are the entries of a directory that are numbers.
func numbers(dir string) (all []int) {
	entries, _ := os.ReadDir(dir) // it may have gone
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, n)
		}
	}
	return all
}
