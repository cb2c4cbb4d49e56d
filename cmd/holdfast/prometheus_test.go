package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPrometheusScrapesEveryProcess: the targets are the processes, and services of the development file.
func TestPrometheusScrapesEveryProcess(t *testing.T) {
	t.Parallel()
	project := development(t)
	file := source(t, "deploy/prometheus/prometheus.yml")
	targets := found(`"([a-z-]+:\d+)"`, file)
	byName := regexp.MustCompile(`names: \[([a-z-]+)\], type: A, port: (\d+)`)
	profiled := 0 // a fixed target would be down while its profile is not chosen
	for _, m := range byName.FindAllStringSubmatch(file, -1) {
		require.NotEmpty(t, project.Services[m[1]].Profiles, m[1])
		targets = append(targets, m[1]+":"+m[2])
		profiled++
	}
	for name, configuration := range processes {
		if len(project.Services[name].Profiles) > 0 {
			profiled--
		}
		defaults := map[string]string{}
		collect(configuration, defaults)
		for variable, address := range defaults {
			if strings.HasSuffix(variable, "_LISTEN") && variable != "GATEWAY_LISTEN" { // which is for clients only
				require.Contains(t, targets, name+address[strings.LastIndex(address, ":"):])
				require.Contains(t, source(t, "docs/guides/metrics.md"), "| "+name+" | `"+variable+"`")
			}
		}
	}
	for _, target := range targets {
		service, _, _ := strings.Cut(target, ":")
		require.Contains(t, project.Services, service)
	}
	require.Zero(t, profiled, "the processes with a profile are found by their names")
	require.Len(t, targets, len(processes)+2, "and Temporal and RabbitMQ")
}

// TestPrometheusCanJoinProduction: the guide names networks of compose.prod.yml, and each target of prometheus.yml is a
// service in the inner one that listens there for other containers.
func TestPrometheusCanJoinProduction(t *testing.T) {
	t.Parallel()
	project := production(t)
	guide := source(t, "docs/guides/containers.md")
	for _, network := range []string{"internal", "edge"} {
		require.Contains(t, guide, " "+project.Networks[network].Name+" ")
	}
	file := source(t, "deploy/prometheus/prometheus.yml")
	targets := found(`"([a-z-]+:\d+)"`, file)
	require.NotEmpty(t, targets)
	for _, target := range targets {
		name, port, _ := strings.Cut(target, ":")
		require.Contains(t, project.Services, name)
		require.Contains(t, project.Services[name].Networks, "internal", name)
		if !isProcess(project.Services[name]) {
			continue
		}
		values := slices.Collect(maps.Values(project.Services[name].Environment))
		require.True(t, slices.ContainsFunc(values, func(v *string) bool { return *v == ":"+port }), target)
	}
	require.Contains(t, guide, development(t).Services["prometheus"].Image)
}
