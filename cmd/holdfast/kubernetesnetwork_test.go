package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKubernetesNetwork: each connection that a process is configured for is allowed on both of its ends.
func TestKubernetesNetwork(t *testing.T) {
	t.Parallel()
	outside := map[string]int{
		"ORDERS_DATABASE_URL": 5432, "INVENTORY_DATABASE_URL": 5432, "SANDBOX_DATABASE_URL": 5432,
		"REDIS_URL": 6379, "AMQP_URL": 5672, "TEMPORAL_ADDRESS": 7233,
	}
	eachOverlay(t, func(t *testing.T, _ string, all []manifest) {
		t.Helper()
		byName := map[string]map[string]string{}
		for _, d := range ofKind(all, "Deployment") {
			labels := d.Spec.Template.Metadata.Labels
			byName[strings.TrimPrefix(labels["app.kubernetes.io/name"], "holdfast-")] = labels
		}
		checked := 0
		containers(all, func(m manifest, c container) {
			from := m.Spec.Template.Metadata.Labels
			for name, value := range variables(t, all, c) {
				if port, ok := outside[name]; ok {
					require.True(t, allowed(all, "out", from, nil, port), "%s may not connect to %s", m.Metadata.Name, name)
					checked++
					continue
				}
				at, err := url.Parse(value)
				if err != nil || at.Scheme != "http" || byName[at.Hostname()] == nil {
					continue
				}
				to := byName[at.Hostname()]
				port, err := strconv.Atoi(at.Port())
				require.NoError(t, err)
				require.True(t, allowed(all, "out", from, to, port), "%s may not connect to %s", m.Metadata.Name, value)
				require.True(t, allowed(all, "in", to, from, port), "%s does not let %s in", at.Hostname(), m.Metadata.Name)
				checked++
			}
		})
		require.Greater(t, checked, 15)
		require.False(t, allowed(all, "in", byName["inventory"], map[string]string{"app": "stranger"}, 8080))
		require.False(t, allowed(all, "out", byName["gateway"], nil, 5432), "the gateway has no database")
	})
}

// TestKubernetesDefaultDeny: a policy of several pods selects each of our pods and no other pod. An operator may run
// other servers, such as PostgreSQL, in the same namespace.
func TestKubernetesDefaultDeny(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, all []manifest) {
		t.Helper()
		checked := 0
		for _, policy := range ofKind(all, "NetworkPolicy") {
			if policy.Spec.PodSelector.MatchLabels != nil {
				continue
			}
			checked++
			require.Len(t, policy.Spec.PodSelector.MatchExpressions, 1, "%s selects every pod", policy.Metadata.Name)
			selector := policy.Spec.PodSelector.MatchExpressions[0]
			require.Equal(t, "app.kubernetes.io/name", selector.Key)
			require.Equal(t, "In", selector.Operator)
			for _, m := range slices.Concat(ofKind(all, "Deployment"), ofKind(all, "Job")) {
				require.Contains(t, selector.Values, m.Spec.Template.Metadata.Labels[selector.Key], policy.Metadata.Name)
			}
		}
		require.Equal(t, 3, checked)
	})
}

// allowed reports whether a policy of the pod allows a connection with the peer, or with any address if the peer is
// nil.
func allowed(all []manifest, direction string, pod, peer map[string]string, port int) bool {
	for _, policy := range ofKind(all, "NetworkPolicy") {
		if policy.Spec.PodSelector.MatchLabels == nil || !contains(pod, policy.Spec.PodSelector.MatchLabels) {
			continue
		}
		rules := policy.Spec.Egress
		if direction == "in" {
			rules = policy.Spec.Ingress
		}
		for _, rule := range rules {
			peers := slices.Concat(rule.From, rule.To)
			fits := len(peers) == 0
			for _, p := range peers {
				fits = fits || peer != nil && p.PodSelector != nil && contains(peer, p.PodSelector.MatchLabels)
			}
			if fits && slices.ContainsFunc(rule.Ports, func(p struct{ Port int }) bool { return p.Port == port }) {
				return true
			}
		}
	}
	return false
}

func contains(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}

func texts(m map[string]any) map[string]string {
	out := map[string]string{}
	for name, value := range m {
		out[name] = fmt.Sprint(value)
	}
	return out
}
