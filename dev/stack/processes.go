package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/api"
	"holdfast/api/server"
	"holdfast/gateway"
	"holdfast/internal/codecserver"
	"holdfast/internal/config"
	"holdfast/internal/deadletter"
	"holdfast/internal/eventprocess"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/internal/payment/sandboxserver"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// gatewayURL is the address of the stack for clients.
func (s *Stack) gatewayURL() string { return localURL(s.ports.gateway) }

func localURL(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

// startProcesses runs the platform's own processes, each with the configuration it would read from
// the environment, and waits until the gateway is ready.
func (s *Stack) startProcesses(ctx context.Context) error {
	s.vars["TEMPORAL_WORKER_BUILD_ID"] = buildID
	for name, port := range map[string]int{
		"SANDBOX_LISTEN":         s.ports.sandbox,
		"INVENTORY_LISTEN":       s.ports.inventory,
		"WORKER_LISTEN":          s.ports.worker,
		"EVENTS_LISTEN":          s.ports.events,
		"CODEC_LISTEN":           s.ports.codec,
		"API_LISTEN":             s.ports.api,
		"GATEWAY_LISTEN":         s.ports.gateway,
		"GATEWAY_PRIVATE_LISTEN": s.ports.gatewayPrivate,
	} {
		s.vars[name] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	s.vars["API_URL"] = localURL(s.ports.api)
	s.vars["INVENTORY_URL"] = localURL(s.ports.inventory)
	s.vars["EVENTS_URL"] = localURL(s.ports.events)
	s.vars["WEBHOOKS_DEVELOPMENT"] = "true" // a developer receives webhooks on this machine
	s.vars["PAYMENT_SANDBOX_URL"] = localURL(s.ports.sandbox)
	s.vars["SANDBOX_PUBLIC_URL"] = localURL(s.ports.sandbox)
	s.vars["SANDBOX_WEBHOOK_URL"] = localURL(s.ports.api) + server.PaymentWebhookPath
	s.vars["PROMISE_CUTOFFS"] = "*:14:00" // a shipment names the day of its arrival
	s.vars["NOTIFY_CHANNEL"] = "log"      // no mail leaves a developer's machine

	for _, start := range []func(context.Context) error{
		run(s, "payment-sandbox", sandboxserver.Run),
		run(s, "inventory", inventory.Run),
		run(s, "worker", workers.Run),
		run(s, "api", server.Run(server.Document{Name: "Inventory", File: "inventory.yaml", Spec: inventory.OpenAPI})),
		run(s, "gateway", gateway.Run(gateway.Contracts{
			API:           api.Spec,
			Inventory:     inventory.OpenAPI,
			DeadMessages:  deadletter.OpenAPI,
			Webhooks:      merchantwebhook.OpenAPI,
			Notifications: notification.OpenAPI,
		})),
	} {
		if err := start(ctx); err != nil {
			return err
		}
	}

	ready := []string{localURL(s.ports.api), localURL(s.ports.worker), localURL(s.ports.gatewayPrivate)}
	if s.vars["AMQP_URL"] != "" { // without RabbitMQ the events wait in their tables
		if err := run(s, "events", eventprocess.Run)(ctx); err != nil {
			return err
		}
		ready = append(ready, localURL(s.ports.events))
	}

	if s.codecURL() != "" {
		s.vars["CODEC_ORIGINS"] = s.temporalUI
		if err := run(s, "codec", codecserver.Run)(ctx); err != nil {
			return err
		}
		ready = append(ready, s.codecURL())
	}

	if err := saveSettings(s.dir, s.vars); err != nil {
		return err
	}
	if err := s.makeCurrent(ctx); err != nil {
		return err
	}
	for _, url := range ready {
		if err := s.awaitReady(ctx, url+"/ready"); err != nil {
			return err
		}
	}
	s.say("the gateway is ready: %s", s.gatewayURL())
	return nil
}

const rateLimits = "RATE_LIMIT_" // how the variables of the limits begin

// processVariables are the stack's settings, and the rate limits of the environment of `make up`, which are not kept.
func (s *Stack) processVariables() map[string]string {
	vars := maps.Clone(s.vars)
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, rateLimits) {
			vars[name] = value
		}
	}
	return vars
}

// run makes the start of one process: it returns when the process listens, or its error.
func run[C any](s *Stack, name string, main func(context.Context, C, service.Env) error) func(context.Context) error {
	return func(ctx context.Context) error {
		cfg, err := config.LoadFrom[C](s.processVariables())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		file := s.logFile(name)
		listening, done := make(chan struct{}), make(chan error, 1)
		// own is not a child of ctx, because the processes stop in order, not all at once.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		tracing, err := telemetry.NewTracing(ctx, s.trace, name, buildID)
		if err != nil {
			stop()
			return err
		}
		go func() {
			log := telemetry.NewLogger(file, name, s.logLevel)
			err := main(own, cfg, service.Env{
				Log:      log,
				Tracing:  tracing,
				Registry: telemetry.NewRegistry(),
				OnListen: func(net.Addr) { close(listening) },
			})
			if err := tracing.Stop(own); err != nil {
				log.Warn("spans are lost", "error", err)
			}
			_ = file.Close()
			switch {
			case err == nil && own.Err() == nil:
				err = fmt.Errorf("it stopped by itself")
			case own.Err() != nil && errors.Is(err, context.Canceled):
				err = nil // it was stopped while it was still starting
			}
			done <- err
			if err != nil {
				select {
				case s.failed <- fmt.Errorf("%s: %w", name, err):
				default: // the channel holds a reason to stop already
				}
			}
		}()

		s.onStop(closer{name: name, stop: func(ctx context.Context) error {
			stop()
			select {
			case err := <-done:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
		select {
		case <-listening:
			return nil
		case err := <-done:
			done <- nil // the error is returned here, so the stop must not return it again
			return fmt.Errorf("%s: %w", name, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// makeCurrent lets new orders start on this stack's worker; without it a fresh server gives no work to a
// versioned worker.
func (s *Stack) makeCurrent(ctx context.Context) error {
	cfg, err := config.LoadFrom[temporalclient.Config](s.vars)
	if err != nil {
		return err
	}
	c, err := temporalclient.Dial(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return workers.MakeCurrent(ctx, c, orderflow.DeploymentName, buildID)
}

func (s *Stack) awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := "no answer"
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			last = res.Status
		}
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready (%s); its log is below %s", url, last, filepath.Join(s.dir, "log"))
		case <-tick.C:
		}
	}
}
