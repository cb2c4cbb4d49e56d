package stack

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

// TestObserve: Prometheus scrapes every process of the stack and RabbitMQ, has the alert rules, and stops with the
// stack.
func TestObserve(t *testing.T) {
	dir := stackDir(t)
	if err := localservice.Install(t.Context(), func(string) {}, localservice.PrometheusPackage); err != nil {
		t.Skip(err)
	}
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
			"gateway", "api", "inventory", "worker", "events", "payment-sandbox", "rabbitmq",
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
