package service

import (
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is how much a process may allocate, in percent of its live heap, before the garbage collector runs. With
// Go's default of 100 the collector runs all the time: our processes keep 5 to 30 MB alive and allocate many times as
// much in a second of load.
//
// Measured in alternation, three pairs each: a reservation over HTTP costs the inventory process 116 µs instead of
// 141 µs, and 20 callers get 31 paid orders a second instead of 26. A process needs up to 100 MB more memory.
const gcPercent = 400

// memoryRatio is the part of a container's memory from which on the garbage collector runs more often again.
const memoryRatio = 0.9

// TuneGC makes the garbage collector run less often, as long as the process stays below its container's memory limit.
// GOGC and GOMEMLIMIT in the environment come first.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// An error says that there is no limit to heed.
	_, _ = memlimit.Set(memlimit.WithRatio(memoryRatio), memlimit.WithProvider(memlimit.FromCgroup))
}
