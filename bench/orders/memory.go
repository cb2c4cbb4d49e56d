package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"holdfast/bench/load"
)

// memory pays the given number of orders with 20 callers and reads the memory of each process after every tenth of
// them.
func memory(orders int64) func(context.Context, *platform) ([]result, error) {
	return func(ctx context.Context, p *platform) ([]result, error) {
		var out []result
		for part := range 10 {
			var left atomic.Int64
			left.Store(orders / 10)
			ctx, stop := context.WithCancel(ctx)
			s := load.Closed(ctx, 20, 0, 10*time.Minute, func(ctx context.Context, _ int) error {
				if left.Add(-1) < 0 {
					stop()
					return nil
				}
				return p.placeAndPay(context.WithoutCancel(ctx))
			})
			stop()
			if s.Failed > orders/1000 { // an answer may be lost while the machine does other things
				return nil, fmt.Errorf("%d orders failed: %s", s.Failed, s.Error)
			}
			out = append(out, result{
				Name:     fmt.Sprintf("memory-%d", (int64(part)+1)*orders/10),
				Sample:   s,
				MemoryMB: p.memory(),
			})
		}
		return out, nil
	}
}

// memory reads how many MB of memory each process has (proc(5), VmRSS).
func (p *platform) memory() map[string]float64 {
	out := map[string]float64{}
	for _, child := range p.processes {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child.cmd.Process.Pid))
		if err != nil {
			continue
		}
		_, rest, found := bytes.Cut(raw, []byte("VmRSS:"))
		if fields := bytes.Fields(rest); found && len(fields) > 0 {
			kb, _ := strconv.ParseFloat(string(fields[0]), 64)
			out[child.name] = round(kb / 1024)
		}
	}
	return out
}
