package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
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
		for _, port := range []int{443, 465, 587} {
			require.True(t, allowed(all, "out", byName["events"], nil, port), "webhooks and mail: %d", port)
		}
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
			if policy.Spec.PodSelector.MatchLabels != nil || policy.Metadata.Name == "metrics" {
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

// TestKubernetesMonitoring: Prometheus collects from each process at the port and under the name of a job that
// deploy/prometheus/prometheus.yml has, and the policy lets it in there.
func TestKubernetesMonitoring(t *testing.T) {
	t.Parallel()
	dir := copied(t)
	useComments(t, dir)
	all := build(t, filepath.Join(dir, prodOverlay))
	all = append(all, build(t, filepath.Join(dir, workerVersion))...)
	targets := source(t, "deploy/prometheus/prometheus.yml")
	policy := ofKind(all, "NetworkPolicy")
	policy = slices.DeleteFunc(policy, func(m manifest) bool { return m.Metadata.Name != "metrics" })
	require.Len(t, policy, 1)
	require.Len(t, policy[0].Spec.Ingress, 1)
	require.Equal(t, map[string]string{"kubernetes.io/metadata.name": "monitoring"},
		policy[0].Spec.Ingress[0].From[0].NamespaceSelector.MatchLabels)

	jobs := 0
	for _, d := range ofKind(all, "Deployment") {
		pod := d.Spec.Template
		var found []podEndpoint
		for _, monitor := range ofKind(all, "PodMonitor") {
			if selects(t, monitor.Spec.Selector, pod.Metadata.Labels) {
				found = append(found, monitor.Spec.Endpoints...)
			}
		}
		require.Len(t, found, 1, d.Metadata.Name)
		require.Len(t, found[0].Relabelings, 1, d.Metadata.Name)
		relabel := found[0].Relabelings[0]
		require.Equal(t, []string{"__meta_kubernetes_pod_label_app_kubernetes_io_name"}, relabel.SourceLabels)
		require.Equal(t, "job", relabel.TargetLabel)
		job := regexp.MustCompile("^" + relabel.Regex + "$").FindStringSubmatch(pod.Metadata.Labels["app.kubernetes.io/name"])
		require.Len(t, job, 2, d.Metadata.Name)

		port := 0
		for _, open := range pod.Spec.Containers[0].Ports {
			if open.Name == found[0].Port {
				port = open.ContainerPort
			}
		}
		require.Contains(t, targets, "job_name: "+job[1]+"\n", d.Metadata.Name)
		require.Regexp(t, fmt.Sprintf(`%s:%d"|names: \[%[1]s\], type: A, port: %[2]d`, job[1], port), targets)
		require.True(t, slices.ContainsFunc(policy[0].Spec.Ingress[0].Ports, func(p struct{ Port int }) bool {
			return p.Port == port
		}), d.Metadata.Name)
		admitted := policy[0].Spec.PodSelector.MatchExpressions[0].Values
		require.Contains(t, admitted, pod.Metadata.Labels["app.kubernetes.io/name"])
		jobs++
	}
	require.Equal(t, 6, jobs)
}

// selects reports whether a selector of labels selects a pod.
func selects(t *testing.T, selector map[string]any, labels map[string]string) bool {
	t.Helper()
	raw, err := yaml.Marshal(selector)
	require.NoError(t, err)
	var s labelSelector
	require.NoError(t, yaml.Unmarshal(raw, &s))
	for _, e := range s.MatchExpressions {
		require.Equal(t, "In", e.Operator)
		if !slices.Contains(e.Values, labels[e.Key]) {
			return false
		}
	}
	return contains(labels, s.MatchLabels)
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
