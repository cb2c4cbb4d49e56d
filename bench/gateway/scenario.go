package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/bench/load"
)

const orderPath = "/api/orders/3a3bd0c1-5b0f-5c7a-9c0e-0d5a2f6f1b11"

const warm = time.Second

// percentiles are medians over the rounds of a run, in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

func mediansOf(samples []load.Sample) percentiles {
	return percentiles{
		P50: median(samples, func(s load.Sample) float64 { return s.P50 }),
		P99: median(samples, func(s load.Sample) float64 { return s.P99 }),
	}
}

func median(samples []load.Sample, of func(load.Sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// latencies are what callers see at the service itself, at the plain proxy before it and at the gateway, measured in
// turn, several rounds of each.
type latencies struct {
	Direct  percentiles `json:"direct"`
	Plain   percentiles `json:"plain_proxy"`
	Gateway percentiles `json:"gateway"`
}

func (l latencies) String() string {
	return fmt.Sprintf("the gateway adds %.2f ms p50 and %.2f ms p99, the plain proxy %.2f and %.2f",
		l.Gateway.P50-l.Direct.P50, l.Gateway.P99-l.Direct.P99, l.Plain.P50-l.Direct.P50, l.Plain.P99-l.Direct.P99)
}

// latencyResult is for one caller, and for callers that together send a fixed number of requests a second.
type latencyResult struct {
	Rounds    int       `json:"rounds"`
	OneCaller latencies `json:"one_caller"`
	Offered   float64   `json:"offered_per_second"`
	AtRate    latencies `json:"at_rate"`
	Failed    int64     `json:"failed"`
}

func (r *latencyResult) String() string {
	return fmt.Sprintf("latency, one caller: %s\nlatency, %.0f requests/s: %s; failed: %d",
		r.OneCaller, r.Offered, r.AtRate, r.Failed)
}

func (e *environment) latency(ctx context.Context, r *report) (fmt.Stringer, error) {
	out := &latencyResult{Rounds: e.pairs, Offered: e.rate}
	servers := []string{e.service, e.plain, e.edge}
	one, rate := make([][]load.Sample, len(servers)), make([][]load.Sample, len(servers))
	for range e.pairs {
		for i, server := range servers {
			s, err := e.closed(ctx, 1, server)
			if err != nil {
				return nil, err
			}
			at, err := e.open(ctx, server)
			if err != nil {
				return nil, err
			}
			one[i], rate[i] = append(one[i], s), append(rate[i], at)
			out.Failed += s.Failed + at.Failed
		}
	}
	out.OneCaller = latencies{mediansOf(one[0]), mediansOf(one[1]), mediansOf(one[2])}
	out.AtRate = latencies{mediansOf(rate[0]), mediansOf(rate[1]), mediansOf(rate[2])}
	r.Latency = out
	return out, nil
}

// closed measures callers that each send the next request once the last was answered.
func (e *environment) closed(ctx context.Context, callers int, server string) (load.Sample, error) {
	all, err := dialAll(ctx, callers, server, orderPath)
	if err != nil {
		return load.Sample{}, err
	}
	defer closeAll(all)
	s := load.Closed(ctx, callers, warm, e.duration, func(_ context.Context, caller int) error {
		_, err := all[caller].call()
		return err
	})
	return s, ctx.Err()
}

// maxOpen bounds the requests under way at a fixed rate; a request for which no connection is free is late.
const maxOpen = 256

// open measures requests at a fixed rate.
func (e *environment) open(ctx context.Context, server string) (load.Sample, error) {
	all, err := dialAll(ctx, maxOpen, server, orderPath)
	if err != nil {
		return load.Sample{}, err
	}
	defer closeAll(all)
	free := make(chan *caller, maxOpen)
	for _, c := range all {
		if _, err := c.call(); err != nil { // its connection is warm
			return load.Sample{}, err
		}
		free <- c
	}
	s := load.Open(ctx, e.rate, e.duration, func(context.Context, int) error {
		c := <-free
		defer func() { free <- c }()
		_, err := c.call()
		return err
	})
	return s, ctx.Err()
}

// throughputResult compares the gateway with Go's plain ReverseProxy.
type throughputResult struct {
	Callers int       `json:"callers"`
	Plain   []float64 `json:"plain_proxy_per_second"`
	Gateway []float64 `json:"gateway_per_second"`
	Ratios  []float64 `json:"ratios"`
	Ratio   float64   `json:"median_ratio"`
	Failed  int64     `json:"failed"`
}

func (r *throughputResult) String() string {
	return fmt.Sprintf("throughput: %.2f of the plain proxy's, the median of %d pairs "+
		"(%.0f and %.0f requests/s in the last); failed: %d",
		r.Ratio, len(r.Ratios), r.Gateway[len(r.Gateway)-1], r.Plain[len(r.Plain)-1], r.Failed)
}

func (e *environment) throughput(ctx context.Context, r *report) (fmt.Stringer, error) {
	out := &throughputResult{Callers: e.callers}
	for range e.pairs {
		plain, err := e.closed(ctx, e.callers, e.plain)
		if err != nil {
			return nil, err
		}
		gateway, err := e.closed(ctx, e.callers, e.edge)
		if err != nil {
			return nil, err
		}
		if gateway.Error != "" || plain.Error != "" {
			return nil, errors.New(gateway.Error + plain.Error)
		}
		out.Plain, out.Gateway = append(out.Plain, plain.Rate), append(out.Gateway, gateway.Rate)
		out.Ratios = append(out.Ratios, gateway.Rate/plain.Rate)
		out.Failed += gateway.Failed + plain.Failed
	}
	out.Ratio = slices.Sorted(slices.Values(out.Ratios))[len(out.Ratios)/2]
	r.Throughput = out
	return out, nil
}

// compressionResult is the length of a list of twenty orders, plain and compressed, in bytes.
type compressionResult struct {
	Plain int64 `json:"plain_bytes"`
	Gzip  int64 `json:"gzip_bytes"`
	Zstd  int64 `json:"zstd_bytes"`
}

func (r *compressionResult) String() string {
	return fmt.Sprintf("compression: a list of twenty orders has %d bytes, %d by gzip and %d by zstd",
		r.Plain, r.Gzip, r.Zstd)
}

func (e *environment) compression(ctx context.Context, r *report) (fmt.Stringer, error) {
	out := &compressionResult{}
	for coding, into := range map[string]*int64{"identity": &out.Plain, "gzip": &out.Gzip, "zstd": &out.Zstd} {
		c, err := dial(ctx, e.edge, "/api/orders", "Accept-Encoding: "+coding)
		if err != nil {
			return nil, err
		}
		*into, err = c.call()
		_ = c.conn.Close()
		if err != nil {
			return nil, err
		}
	}
	r.Compression = out
	return out, nil
}

// connectionResult is the resident memory of the gateway, in megabytes, before and with many open connections. Each of
// them has sent one request and waits for its next: the gateway closes a connection that sends nothing at all.
type connectionResult struct {
	Connections int     `json:"connections"`
	BeforeMB    float64 `json:"before_mb"`
	OpenMB      float64 `json:"open_mb"`
}

func (r *connectionResult) String() string {
	return fmt.Sprintf("connections: %.0f MB resident with %d open ones, %.0f MB before",
		r.OpenMB, r.Connections, r.BeforeMB)
}

func (e *environment) connect(ctx context.Context, r *report) (fmt.Stringer, error) {
	out := &connectionResult{Connections: e.connections}
	var err error
	if out.BeforeMB, err = e.resident(); err != nil {
		return nil, err
	}
	all := make([]*caller, 0, e.connections)
	defer func() { closeAll(all) }()
	for range e.connections {
		c, err := dial(ctx, e.edge, orderPath)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		if _, err := c.call(); err != nil {
			return nil, err
		}
	}
	if out.OpenMB, err = e.resident(); err != nil {
		return nil, err
	}
	r.Connections = out
	return out, nil
}

// resident returns the memory of the gateway that is in use, in megabytes.
func (e *environment) resident() (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", e.gateway.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the gateway's memory: %w", err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "VmRSS:"); found {
			kb, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("the system does not tell the gateway's memory")
}
