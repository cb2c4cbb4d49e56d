package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is how many clock ticks the kernel counts in a second (proc(5): almost always 100).
const ticks = 100

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// treeCPU is the processor time of a process and its children, ended ones included.
func treeCPU(pid int) time.Duration {
	total := int64(0)
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// pid (comm) state ppid … utime(14) stime(15) cutime(16) cstime(17)
		_, rest, ok := strings.Cut(string(raw), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 15 {
			continue
		}
		self := strings.HasPrefix(string(raw), fmt.Sprintf("%d ", pid))
		if !self && fields[1] != strconv.Itoa(pid) {
			continue
		}
		last := 13
		if self {
			last = 15
		}
		for _, v := range fields[11:last] {
			n, _ := strconv.ParseInt(v, 10, 64)
			total += n
		}
	}
	return time.Duration(total) * time.Second / ticks
}
