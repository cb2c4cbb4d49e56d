package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/bench/load"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryclient"
)

// scrapeInterval is that of deploy/prometheus/prometheus.yml.
const scrapeInterval = 10 * time.Second

// runObserved measures what it costs to observe the platform, its events process included. A second platform with
// everything on runs beside the first: it writes log lines at info into files, traces a tenth of the requests for a
// collector, and is scraped. The first logs errors only, traces nothing and is not scraped. Both count their metrics.
// The load goes to one of them at a time, in alternation, and every second pair begins with the other side.
func runObserved(ctx context.Context, p *platform) (_ []result, err error) {
	if p.rabbitmq == nil {
		return nil, errors.New("observed measures the events process too; add -events")
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer collector.Close()
	options := p.options
	options.logFiles = true
	options.settings = strings.Join([]string{
		p.settings, "LOG_LEVEL=info", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_TRACES_SAMPLER_ARG=0.1",
	}, ",")
	observed, err := start(ctx, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, observed.stop()) }()
	scraping, stop := context.WithCancel(ctx)
	var scrapers sync.WaitGroup
	defer func() {
		stop()
		scrapers.Wait()
	}()
	for _, address := range observed.scraped {
		scrapers.Go(func() { scrape(scraping, address) })
	}

	var out []result
	for i := range p.pairs {
		sides := []struct {
			name string
			on   *platform
		}{{"plain", p}, {"observed", observed}}
		if i%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			orders, err := closedLoop(fmt.Sprintf("orders-%s-%d", side.name, i+1), 20, (*platform).placeAndPay)(ctx, side.on)
			if err != nil {
				return nil, err
			}
			out = append(out, orders...)
		}
		for _, side := range sides {
			held, err := side.on.reservations(ctx, fmt.Sprintf("reservations-%s-%d", side.name, i+1))
			if err != nil {
				return nil, err
			}
			out = append(out, held)
		}
	}
	return out, nil
}

// scrape reads a process's metrics as Prometheus does, until ctx ends.
func scrape(ctx context.Context, address string) {
	ticker := time.NewTicker(scrapeInterval)
	defer ticker.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/metrics", nil)
		if err != nil {
			return
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// reservations measures 200 callers who reserve one product over HTTP.
func (p *platform) reservations(ctx context.Context, name string) (result, error) {
	const callers = 200
	transport := &http.Transport{MaxIdleConnsPerHost: callers, MaxConnsPerHost: callers}
	signer := servicetoken.NewSigner(internal, "bench")
	client := inventoryclient.New(p.inventory, signer, &http.Client{Transport: transport})
	defer client.Close()
	return p.measure(ctx, name, func() load.Sample {
		return load.Closed(ctx, callers, warm, p.duration, func(ctx context.Context, _ int) error {
			_, err := client.Reserve(ctx, load.Reserve(uuid.New(), p.product))
			return err
		})
	})
}
