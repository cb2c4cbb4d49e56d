package main

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/config"
)

// TestKubernetesSetsOnlyKnownVariables: each container gets variables that its process or command reads, and all that
// it must have.
func TestKubernetesSetsOnlyKnownVariables(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, overlay string, all []manifest) {
		t.Helper()
		ran := map[string]bool{}
		containers(all, func(m manifest, c container) {
			configuration, known, required := processes[c.Args[0]], map[string]string{}, map[string]bool{}
			if configuration != nil {
				ran[c.Args[0]] = true
				collect(reflect.TypeFor[config.Common](), known)
			} else {
				configuration = commands[c.Args[0]]
			}
			require.NotNil(t, configuration, "%s runs %v, which this test does not know", m.Metadata.Name, c.Args)
			collect(configuration, known)
			collectRequired(configuration, required)
			for variable := range variables(t, all, c) {
				require.Contains(t, known, strings.TrimSuffix(variable, "_FILE"), m.Metadata.Name)
				delete(required, variable)
			}
			require.Empty(t, required, "%s lacks variables", m.Metadata.Name)
		})
		for process := range processes {
			want := true
			switch process {
			case "payment-sandbox":
				want = strings.HasPrefix(overlay, devOverlay)
			case "codec":
				want = strings.HasSuffix(overlay, encrypted)
			}
			require.Equal(t, want, ran[process], process)
		}
	})
}

// TestKubernetesServersElsewhere: TLS, an API key and another address of Temporal reach each process that uses
// Temporal. The folder of certificates is in each pod that connects to a server, and all variables that name a file
// name one there.
func TestKubernetesServersElsewhere(t *testing.T) {
	t.Parallel()
	all := deployed(t, prodOverlay+complete)
	files := map[string]string{}
	for _, secret := range ofKind(all, "Secret") {
		if secret.Metadata.Name == "certificates" {
			files = secret.Data
		}
	}
	temporal, named := 0, 0
	containers(all, func(m manifest, c container) {
		got := variables(t, all, c)
		if _, uses := got["TEMPORAL_ADDRESS"]; uses {
			temporal++
			for _, name := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_API_KEY", "TEMPORAL_TLS_SERVER_CA_CERT_DATA"} {
				require.Equal(t, fromSecret, got[name], "%s of %s", name, m.Metadata.Name)
			}
		}
		require.Len(t, c.VolumeMounts, 1, m.Metadata.Name)
		require.Equal(t, "/run/certificates", c.VolumeMounts[0].MountPath, m.Metadata.Name)
		for name, value := range got {
			if strings.HasSuffix(name, "_FILE") {
				require.Contains(t, files, strings.TrimPrefix(value, "/run/certificates/"), "%s of %s", name, m.Metadata.Name)
				named++
			}
		}
	})
	require.Equal(t, 5, temporal, "api, events, audit, worker and the Job")
	require.Equal(t, 3, named)
	for _, name := range []string{"api", "audit", "worker"} {
		for _, d := range ofKind(all, "Deployment") {
			if c := d.Spec.Template.Spec.Containers[0]; c.Name == name {
				require.Equal(t, "stripe", variables(t, all, c)["PAYMENT_PROVIDER"], name)
			}
		}
	}
}

// TestKubernetesPods: pods have no rights, a limit of memory, and probes on ports that they open and their process
// listens on.
func TestKubernetesPods(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, all []manifest) {
		t.Helper()
		containers(all, func(m manifest, c container) {
			pod := m.Spec.Template.Spec
			require.True(t, pod.SecurityContext.RunAsNonRoot, m.Metadata.Name)
			require.NotNil(t, pod.AutomountToken, m.Metadata.Name)
			require.False(t, *pod.AutomountToken, m.Metadata.Name)
			require.NotNil(t, c.SecurityContext.Escalation, c.Name)
			require.False(t, *c.SecurityContext.Escalation, c.Name)
			require.True(t, c.SecurityContext.ReadOnly, c.Name)
			require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop, c.Name)
			require.NotEmpty(t, c.Resources.Limits["memory"], c.Name)
			if c.Args[0] == "worker" { // docs/guides/scaling.md says what it needs
				require.Equal(t, "1Gi", c.Resources.Limits["memory"], m.Metadata.Name)
			}
			require.NotEmpty(t, c.Resources.Requests["cpu"], c.Name)
			if m.Kind != "Deployment" {
				return
			}
			if c.Args[0] != "worker" { // whose folder names its own image
				require.Equal(t, ofKind(all, "Deployment")[0].Spec.Template.Spec.Containers[0].Image, c.Image, c.Name)
			}
			require.Contains(t, c.Image, ":", "a version")

			ports, listens := map[string]int{}, []int{}
			for _, p := range c.Ports {
				ports[p.Name] = p.ContainerPort
			}
			for name, value := range variables(t, all, c) {
				if strings.HasSuffix(name, "_LISTEN") {
					port, err := strconv.Atoi(strings.TrimPrefix(value, ":"))
					require.NoError(t, err, "%s listens for the pod only: %s", c.Name, value)
					listens = append(listens, port)
				}
			}
			for _, p := range []struct {
				probe
				path string
			}{{c.StartupProbe, "/health"}, {c.ReadinessProbe, "/ready"}, {c.LivenessProbe, "/health"}} {
				require.Equal(t, p.path, p.HTTPGet.Path, c.Name)
				require.Contains(t, listens, ports[p.HTTPGet.Port], "%s of %s", p.path, c.Name)
			}
		})
	})
}

// TestKubernetesSelectors: every Service, budget, autoscaler and policy fits exactly one Deployment (or the Job). Each
// Deployment has a policy, and a budget if it has several pods.
func TestKubernetesSelectors(t *testing.T) {
	t.Parallel()
	eachOverlay(t, func(t *testing.T, _ string, all []manifest) {
		t.Helper()
		fitting := func(selector map[string]string) (out []manifest) {
			for _, m := range slices.Concat(ofKind(all, "Deployment"), ofKind(all, "Job")) {
				if contains(m.Spec.Template.Metadata.Labels, selector) {
					out = append(out, m)
				}
			}
			return out
		}
		has := map[string][]string{}
		for _, m := range all {
			var selector map[string]string
			switch m.Kind {
			case "Service":
				selector = texts(m.Spec.Selector)
			case "PodDisruptionBudget":
				selector = texts(m.Spec.Selector["matchLabels"].(map[string]any)) //nolint:forcetypeassert // k8scheck has seen it
			case "NetworkPolicy":
				if selector = m.Spec.PodSelector.MatchLabels; selector == nil {
					continue // of several pods: TestKubernetesDefaultDeny
				}
			case "HorizontalPodAutoscaler", "ScaledObject":
				require.True(t, slices.ContainsFunc(ofKind(all, m.Spec.ScaleTargetRef.Kind), func(d manifest) bool {
					// With replicas of its own, each apply would undo what the autoscaler has decided.
					return d.Metadata.Name == m.Spec.ScaleTargetRef.Name && d.Spec.Replicas == 0
				}), "%s %s", m.Kind, m.Metadata.Name)
				continue
			default:
				continue
			}
			require.NotEmpty(t, selector, m.Metadata.Name)
			found := fitting(selector)
			require.Len(t, found, 1, "%s %s", m.Kind, m.Metadata.Name)
			has[found[0].Metadata.Name] = append(has[found[0].Metadata.Name], m.Kind)
			for _, p := range m.Spec.Ports {
				require.True(t, slices.ContainsFunc(found[0].Spec.Template.Spec.Containers[0].Ports,
					func(open struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					},
					) bool {
						return open.Name == p.TargetPort && open.ContainerPort == p.Port
					}), "%s: %s", m.Metadata.Name, p.Name)
			}
		}
		for _, d := range ofKind(all, "Deployment") {
			require.Contains(t, has[d.Metadata.Name], "NetworkPolicy", d.Metadata.Name)
			switch d.Metadata.Name {
			case "payment-sandbox", "audit", "codec": // of one pod: a budget would block the drain of its node
				require.Equal(t, 1, d.Spec.Replicas, d.Metadata.Name)
				require.NotContains(t, has[d.Metadata.Name], "PodDisruptionBudget", d.Metadata.Name)
			default:
				require.Contains(t, has[d.Metadata.Name], "PodDisruptionBudget", d.Metadata.Name)
			}
		}
	})
}

// TestKubernetesMigratesFirst: an overlay starts no migration, because its processes would not wait for it. The folder
// of the migrations has a Job with the overlay's image, all that the Job needs, and no process.
func TestKubernetesMigratesFirst(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{devOverlay, prodOverlay} {
		processes, first := render(t, overlay), render(t, overlay+migrations)
		require.Empty(t, ofKind(processes, "Job"), overlay)
		require.Empty(t, ofKind(first, "Deployment"), overlay)
		require.Len(t, ofKind(first, "Job"), 1, overlay)
		image := ofKind(processes, "Deployment")[0].Spec.Template.Spec.Containers[0].Image
		containers(first, func(_ manifest, c container) {
			require.Equal(t, image, c.Image, overlay)
			variables(t, first, c)
		})
		for _, kind := range []string{"Namespace", "Secret", "NetworkPolicy"} {
			for _, m := range ofKind(first, kind) {
				require.True(t, slices.ContainsFunc(processes, m.same), "%s: %s %s", overlay, kind, m.Metadata.Name)
			}
			require.NotEmpty(t, ofKind(first, kind), overlay)
		}
	}
}

// TestWorkerVersion: the pods of a version have the build id that the Deployment's name, the image's tag and the
// autoscaler's triggers have. They run the image that production runs.
func TestWorkerVersion(t *testing.T) {
	t.Parallel()
	const build = "0123456789ab"
	built := render(t, workerVersion)
	require.Len(t, built, 3)
	for _, m := range built {
		require.Equal(t, "worker-"+build, m.Metadata.Name)
	}
	pod := ofKind(built, "Deployment")[0].Spec.Template
	require.Equal(t, build, pod.Metadata.Labels["holdfast/build-id"])
	image := pod.Spec.Containers[0].Image
	require.True(t, strings.HasSuffix(image, ":"+build), image)
	containers(render(t, prodOverlay), func(m manifest, c container) { require.Equal(t, c.Image, image, m.Metadata.Name) })
	require.Equal(t, "TEMPORAL_WORKER_BUILD_ID", pod.Spec.Containers[0].Env[0].Name)
	require.Equal(t, "metadata.labels['holdfast/build-id']", pod.Spec.Containers[0].Env[0].ValueFrom.FieldRef.FieldPath)
	for _, trigger := range ofKind(built, "ScaledObject")[0].Spec.Triggers {
		require.Equal(t, build, trigger.Metadata["workerDeploymentBuildId"])
	}
}

// TestWorkerController: the alternative for the Worker Controller gives a worker what a version of the worker gets, but
// for the build id, which the controller sets.
func TestWorkerController(t *testing.T) {
	t.Parallel()
	raw := []byte(source(t, "deploy/k8s/worker/controller/worker.yaml"))
	checkObjects(t, raw)
	found := ofKind(manifests(t, raw), "WorkerDeployment")
	require.Len(t, found, 1)
	all := deployed(t, prodOverlay)
	var want map[string]string
	for _, d := range ofKind(all, "Deployment") {
		if c := d.Spec.Template.Spec.Containers[0]; c.Args[0] == "worker" {
			want = variables(t, all, c)
		}
	}
	delete(want, "TEMPORAL_WORKER_BUILD_ID")
	image := ofKind(all, "Deployment")[0].Spec.Template.Spec.Containers[0].Image
	for _, c := range found[0].Spec.Template.Spec.Containers {
		require.Equal(t, "1Gi", c.Resources.Limits["memory"])
		require.Equal(t, image, c.Image)
		require.Equal(t, []string{"worker"}, c.Args)
		require.Equal(t, want, variables(t, all, c))
		require.Equal(t, "/health", c.StartupProbe.HTTPGet.Path)
	}
}
