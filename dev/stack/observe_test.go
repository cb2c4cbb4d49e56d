package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/deploy/prometheus"
	"holdfast/internal/payloadcodec"
	"holdfast/tests/localservice"
)

// TestObserve: Prometheus scrapes every process of the stack and RabbitMQ, has the alert rules, and stops with the
// stack.
func TestObserve(t *testing.T) {
	dir := stackDir(t)
	if err := localservice.Install(t.Context(), func(string) {}, localservice.PrometheusPackage); err != nil {
		t.Skip(err)
	}
	t.Setenv("TEMPORAL_PAYLOAD_KEYS", payloadcodec.NewKey()) // so that the codec server runs
	out := &progress{}
	s, err := startOn(t.Context(), dir, out, freePorts(t))
	require.NoError(t, err, out)
	defer func() {
		require.NoError(t, s.Stop())
		require.Empty(t, workingIn(t, dir), "a stop leaves no process")
	}()
	require.NoError(t, s.Observe(t.Context()), out)

	require.Eventually(t, func() bool {
		var answer struct {
			Data struct {
				ActiveTargets []struct {
					Health string
					Labels map[string]string
				}
			}
		}
		askJSON(t, s.prometheusUI+"/api/v1/targets", &answer)
		up := map[string]bool{}
		for _, target := range answer.Data.ActiveTargets {
			up[target.Labels["job"]] = target.Health == "up"
		}
		for _, job := range []string{
			"gateway", "api", "inventory", "worker", "events", "payment-sandbox", "codec", "rabbitmq",
		} {
			if !up[job] {
				return false
			}
		}
		return true
	}, 30*time.Second, 100*time.Millisecond)

	var rules struct {
		Data struct {
			Groups []struct{ Name string }
		}
	}
	askJSON(t, s.prometheusUI+"/api/v1/rules?type=alert", &rules)
	require.NotEmpty(t, rules.Data.Groups)

	var said bytes.Buffer
	s.Describe(&said, "a-token")
	require.Contains(t, said.String(), s.prometheusUI+"/alerts")
	require.Contains(t, said.String(), "logs  "+dir)
	require.Contains(t, said.String(), "(codec)")
}

// TestPrometheusOfAKilledRunIsStopped: `make up` stops the Prometheus that a killed `make observe` left behind.
func TestPrometheusOfAKilledRunIsStopped(t *testing.T) {
	dir := stackDir(t)
	if err := localservice.Install(t.Context(), func(string) {}, localservice.PrometheusPackage); err != nil {
		t.Skip(err)
	}
	left, err := localservice.StartPrometheus(t.Context(), localservice.Options{Dir: filepath.Join(dir, "prometheus")},
		localservice.Scraping{Rules: prometheus.Rules})
	require.NoError(t, err)
	defer func() { _ = left.Stop(context.Background()) }() // it gives back the port

	ctx, cancel := context.WithCancel(t.Context())
	out := &progress{at: "PostgreSQL is up", do: cancel}
	_, err = startOn(ctx, dir, out, freePorts(t))
	require.Error(t, err, "the test interrupted it")
	select {
	case <-left.Done():
	default:
		require.Fail(t, "Prometheus still runs", out)
	}
}

func askJSON(t *testing.T, url string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // only read
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NoError(t, json.NewDecoder(res.Body).Decode(into))
}
