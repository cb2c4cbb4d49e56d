package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"holdfast/deploy/prometheus"
	"holdfast/tests/localservice"
)

// Observe starts a Prometheus that scrapes every process and has the alert rules. If Prometheus is not on this machine
// and cannot be installed, it says what to run, and the platform goes on without it.
func (s *Stack) Observe(ctx context.Context) error {
	err := localservice.Install(ctx, func(m string) { s.say("%s", m) }, localservice.PrometheusPackage)
	switch {
	case ctx.Err() != nil:
		return Interrupted(ctx)
	case err != nil:
		if !errors.Is(err, localservice.ErrMayNotInstall) {
			s.say("%v", err)
		}
		for _, line := range goOnWithout([]localservice.Package{localservice.PrometheusPackage}) {
			s.say("%s", line)
		}
		return nil
	}

	server, err := localservice.StartPrometheus(ctx, s.prometheusOptions(),
		localservice.Scraping{Targets: s.metricAddresses(), Rules: prometheus.Rules})
	if err != nil {
		return err
	}
	s.onStop(closer{name: "Prometheus", stop: server.Stop, beside: true})
	s.prometheusUI = server.URL()
	s.say("Prometheus is up: %s", server.URL())
	return nil
}

func (s *Stack) prometheusOptions() localservice.Options {
	return localservice.Options{
		Dir:  filepath.Join(s.dir, "prometheus"),
		Port: s.ports.prometheus,
		Log:  s.log,
	}
}

// metricAddresses says where each running part serves its metrics, by the name of its job in the alert rules.
func (s *Stack) metricAddresses() map[string]string {
	out := map[string]string{}
	for job, port := range map[string]int{
		"gateway":         s.ports.gatewayPrivate,
		"api":             s.ports.api,
		"inventory":       s.ports.inventory,
		"worker":          s.ports.worker,
		"payment-sandbox": s.ports.sandbox,
	} {
		out[job] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	if s.rabbitMetrics != "" { // without RabbitMQ there is no events process either
		out["events"] = fmt.Sprintf("127.0.0.1:%d", s.ports.events)
		out["rabbitmq"] = s.rabbitMetrics
	}
	if url := s.codecURL(); url != "" {
		out["codec"] = strings.TrimPrefix(url, "http://")
	}
	return out
}

// describeMetrics prints where the metrics are.
func (s *Stack) describeMetrics(out io.Writer) {
	codec := ""
	if s.codecURL() != "" {
		codec = fmt.Sprintf(", %d (codec)", s.ports.codec)
	}
	fmt.Fprintf(out, "  metrics        http://127.0.0.1:PORT/metrics with PORT %d (gateway), %d (api), %d (inventory), "+
		"%d (worker), %d (events), %d (sandbox)%s\n",
		s.ports.gatewayPrivate, s.ports.api, s.ports.inventory, s.ports.worker, s.ports.events, s.ports.sandbox, codec)
	if s.prometheusUI == "" {
		fmt.Fprintln(out, "                 `make observe` instead of `make up` adds a Prometheus "+
			"with all of them and the alerts")
		return
	}
	fmt.Fprintf(out, "  Prometheus     %s\n", s.prometheusUI)
	for _, page := range []struct{ name, path string }{
		{"alerts", "/alerts"},
		{"scraped processes", "/targets"},
		{"orders by outcome", "/graph?g0.expr=sum%20by%20(status)%20(orders_processed_total)&g0.tab=0&g0.range_input=15m"},
	} {
		fmt.Fprintf(out, "    %-23s %s\n", page.name, s.prometheusUI+page.path)
	}
}
