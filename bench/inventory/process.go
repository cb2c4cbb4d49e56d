package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/load"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryclient"
)

const (
	serviceKey     = "bench-key"
	internalSecret = "an-internal-secret-of-the-benchmark"
)

// process is the inventory process under test.
type process struct {
	cmd    *exec.Cmd
	client *inventoryclient.Client
}

// serve starts the real binary on the shop's database; an empty redis means without a cache.
func (e *environment) serve(ctx context.Context, s *shop, redis string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("free the port: %w", err)
	}

	cmd := exec.Command(e.binary, "inventory") //nolint:noctx // stop ends it in order
	cmd.Env = append(os.Environ(),
		"INVENTORY_DATABASE_URL="+s.url,
		"INVENTORY_LISTEN="+address,
		"SERVICE_API_KEYS="+serviceKey,
		"INTERNAL_TOKEN_SECRETS="+internalSecret,
		"REDIS_URL="+redis)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build makes it): %w", e.binary, err)
	}

	transport := &http.Transport{MaxIdleConnsPerHost: e.callers * 2, MaxConnsPerHost: e.callers}
	signer := servicetoken.NewSigner(servicetoken.Config{Secrets: []string{internalSecret}}, "bench")
	client := inventoryclient.New("http://"+address, signer, &http.Client{Transport: transport})
	p := &process{cmd: cmd, client: client}
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := p.client.Ping(ctx)
		if err == nil {
			return p, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("the service did not get ready: %w", err), p.stop())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *process) stop() error {
	p.client.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the service: %w", err)
	}
	kill := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the service did not stop cleanly: %w", err)
	}
	return nil
}

// peakMemory is the most the process has held at once, in MB (VmHWM of proc(5)).
func (p *process) peakMemory() float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
			return kb / 1024
		}
	}
	return 0
}

// watched runs load against the process and measures the processor time of each side.
func (e *environment) watched(p *process, name, what string, run func() load.Sample) result {
	own, service, server := ownCPU(), treeCPU(p.cmd.Process.Pid), treeCPU(e.server)
	begin := time.Now()
	r := result{Name: name, What: what, Sample: run()}

	// The processor time covers the whole run, so n also counts the requests of the warm-up, which are not in
	// the sample.
	n := int64(float64(r.Done) * time.Since(begin).Seconds() / r.Seconds)
	r.DriverCPU = perRequest(ownCPU()-own, n)
	r.ServiceCPU = perRequest(treeCPU(p.cmd.Process.Pid)-service, n)
	r.PostgresCPU = perRequest(treeCPU(e.server)-server, n)
	if sum := r.DriverCPU + r.ServiceCPU + r.PostgresCPU; sum > 0 {
		r.DriverShare = r.DriverCPU / sum
	}
	r.Memory = p.peakMemory()
	return r
}

func overHTTP(ctx context.Context, e *environment) (results []result, err error) {
	s, err := e.open(ctx, "http", 1)
	if err != nil {
		return nil, err
	}
	defer s.pool.Close()
	redis := ""
	if e.redis != nil {
		redis = e.redis.URL()
	}
	p, err := e.serve(ctx, s, redis)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	call := func(ctx context.Context, _ int) error {
		_, err := p.client.Reserve(ctx, reserve(s.products))
		return err
	}
	hot := e.watched(p, "http-hot", "one product, all callers, cache told of each commit", func() load.Sample {
		return load.Closed(ctx, e.callers, warm, e.duration, call)
	})
	idle := e.watched(p, "http-idle", "one product, a lone caller", func() load.Sample {
		return load.Closed(ctx, 1, warm, e.duration, call)
	})
	return []result{hot, idle}, s.verify(ctx, hot.Done+idle.Done)
}

// reads asks for the availability of 10,000 products at a fixed rate: first a service with all products in
// the cache, then a service without a cache.
func reads(ctx context.Context, e *environment) ([]result, error) {
	s, err := e.open(ctx, "read", 10_000)
	if err != nil {
		return nil, err
	}
	defer s.pool.Close()
	var results []result
	for _, kind := range []string{"read-cached", "read-uncached"} {
		redis := ""
		if kind == "read-cached" {
			if e.redis == nil {
				fmt.Fprintln(os.Stderr, "read-cached is left out: Redis is not installed")
				continue
			}
			redis = e.redis.URL()
		}
		r, err := e.read(ctx, s, kind, redis)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

func (e *environment) read(ctx context.Context, s *shop, name, redis string) (r result, err error) {
	const rate = 2000
	p, err := e.serve(ctx, s, redis)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	ask := func(ctx context.Context, n int) error {
		_, err := p.client.Availability(ctx, s.products[n%len(s.products)], 1)
		return err
	}

	for n := range s.products { // one request for each product fills the cache
		if err := ask(ctx, n); err != nil {
			return r, err
		}
	}

	r = e.watched(p, name, fmt.Sprintf("10,000 products, %d a second", rate), func() load.Sample {
		return load.Open(ctx, rate, e.duration, ask)
	})
	return r, nil
}
