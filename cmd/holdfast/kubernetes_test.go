package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"holdfast/internal/config"
)

// The folders of deploy/k8s that an operator renders.
const (
	devOverlay    = "overlays/dev"
	prodOverlay   = "overlays/prod"
	encrypted     = "-encrypted" // after the name of an overlay: with the codec server; the test makes it
	migrations    = "/migrate"   // after the name of an overlay: what must be done before it is applied
	workerShared  = "worker/shared"
	workerVersion = "worker/version"
)

// manifest has those parts of a Kubernetes object that the tests look at.
type manifest struct {
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Replicas       int
		Selector       map[string]any
		PodSelector    labelSelector               `yaml:"podSelector"`
		ScaleTargetRef struct{ Kind, Name string } `yaml:"scaleTargetRef"`
		Triggers       []struct{ Metadata map[string]string }
		Ports          []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		Ingress, Egress []peerRule
		Template        podTemplate
	}
}

// same reports whether both are the same object of a cluster.
func (m manifest) same(other manifest) bool {
	return m.Kind == other.Kind && m.Metadata == other.Metadata
}

type podTemplate struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		AutomountToken  *bool `yaml:"automountServiceAccountToken"`
		SecurityContext struct {
			RunAsNonRoot bool `yaml:"runAsNonRoot"`
		} `yaml:"securityContext"`
		InitContainers []container `yaml:"initContainers"`
		Containers     []container
	}
}

type labelSelector struct {
	MatchLabels      map[string]string `yaml:"matchLabels"`
	MatchExpressions []struct {
		Key, Operator string
		Values        []string
	} `yaml:"matchExpressions"`
}

type peerRule struct {
	From, To []struct {
		PodSelector       *labelSelector `yaml:"podSelector"`
		NamespaceSelector *labelSelector `yaml:"namespaceSelector"`
	}
	Ports []struct{ Port int }
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

type container struct {
	Name, Image string
	Args        []string
	Ports       []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	EnvFrom []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Env []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
			SecretKeyRef struct {
				Name, Key string
				Optional  bool
			} `yaml:"secretKeyRef"`
			ConfigMapKeyRef struct{ Name, Key string } `yaml:"configMapKeyRef"`
		} `yaml:"valueFrom"`
	}
	StartupProbe    probe `yaml:"startupProbe"`
	ReadinessProbe  probe `yaml:"readinessProbe"`
	LivenessProbe   probe `yaml:"livenessProbe"`
	SecurityContext struct {
		Escalation   *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnly     bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities struct{ Drop []string }
	} `yaml:"securityContext"`
	Resources struct{ Requests, Limits map[string]string }
}

// tool returns the path of a pinned tool.
func tool(t *testing.T, name string) string {
	t.Helper()
	path := root + "bin/tools/" + name
	require.FileExists(t, path, "run make bin/tools/%s", name)
	return path
}

// render builds a folder of deploy/k8s as an operator does, with the example's secrets, and checks every object against
// the types of Kubernetes' API.
func render(t *testing.T, folder string) []manifest {
	t.Helper()
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(root+"deploy/k8s")))
	for _, overlay := range []string{devOverlay, prodOverlay} {
		shared := filepath.Join(copied, overlay, "shared")
		raw, err := os.ReadFile(filepath.Join(shared, "secrets.example.env"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(shared, "secrets.env"), raw, 0o600))
		encrypt(t, copied, overlay)
	}
	at := filepath.Join(copied, folder)

	raw := output(t, exec.CommandContext(t.Context(), tool(t, "kustomize"), "build", at))
	checkObjects(t, raw)
	return manifests(t, raw)
}

// encrypt makes an overlay beside the given one that adds the codec server and a key for it.
func encrypt(t *testing.T, copied, overlay string) {
	t.Helper()
	at := filepath.Join(copied, overlay+encrypted)
	require.NoError(t, os.MkdirAll(at, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(at, "kustomization.yaml"), fmt.Appendf(nil, `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: holdfast
resources: [../%s]
components: [../../codec]
secretGenerator:
  - { name: holdfast, namespace: holdfast, behavior: merge, literals: [TEMPORAL_PAYLOAD_KEYS=a-key] }
`, filepath.Base(overlay)), 0o600))
}

func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	require.NoError(t, err, "%s", stderr.String())
	return raw
}

func checkObjects(t *testing.T, raw []byte) {
	t.Helper()
	check := exec.CommandContext(t.Context(), tool(t, "k8scheck"))
	check.Stdin = bytes.NewReader(raw)
	output(t, check)
}

func manifests(t *testing.T, raw []byte) (out []manifest) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var m manifest
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		out = append(out, m)
	}
}

func ofKind(all []manifest, kind string) (out []manifest) {
	for _, m := range all {
		if m.Kind == kind {
			out = append(out, m)
		}
	}
	return out
}

// deployed is all of one environment: an overlay, its migrations, and a version of the worker with what the versions
// share. What the migrations have in common with the overlay is in it once.
func deployed(t *testing.T, overlay string) []manifest {
	t.Helper()
	all := slices.Concat(render(t, overlay), render(t, workerShared), render(t, workerVersion))
	for _, m := range render(t, strings.TrimSuffix(overlay, encrypted)+migrations) {
		if !slices.ContainsFunc(all, m.same) {
			all = append(all, m)
		}
	}
	return all
}

// eachOverlay runs a test on both environments, each without and with the codec server.
func eachOverlay(t *testing.T, test func(t *testing.T, overlay string, all []manifest)) {
	t.Helper()
	for _, overlay := range []string{
		devOverlay, prodOverlay, devOverlay + encrypted, prodOverlay + encrypted,
	} {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			test(t, overlay, deployed(t, overlay))
		})
	}
}

// variables returns what a container gets, with the values that are known.
func variables(t *testing.T, all []manifest, c container) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, from := range c.EnvFrom {
		for name, value := range settings(t, all, from.ConfigMapRef.Name) {
			out[name] = value
		}
	}
	secrets := ofKind(all, "Secret")
	require.Len(t, secrets, 1)
	for _, e := range c.Env {
		if ref := e.ValueFrom.ConfigMapKeyRef; ref.Name != "" {
			if value, ok := settings(t, all, ref.Name)[ref.Key]; ok {
				out[e.Name] = value
			}
			continue
		}
		out[e.Name] = e.Value
		if ref := e.ValueFrom.SecretKeyRef; ref.Name != "" {
			require.Equal(t, secrets[0].Metadata.Name, ref.Name, "%s of %s", e.Name, c.Name)
			if !ref.Optional {
				require.Contains(t, secrets[0].Data, ref.Key, "%s of %s", e.Name, c.Name)
			}
		}
	}
	return out
}

// settings returns the content of a ConfigMap.
func settings(t *testing.T, all []manifest, name string) map[string]string {
	t.Helper()
	found := slices.DeleteFunc(ofKind(all, "ConfigMap"), func(m manifest) bool { return m.Metadata.Name != name })
	require.Len(t, found, 1, "the ConfigMap %s", name)
	return found[0].Data
}

// containers calls test for each container of ours.
func containers(all []manifest, test func(m manifest, c container)) {
	for _, m := range slices.Concat(ofKind(all, "Deployment"), ofKind(all, "Job")) {
		for _, c := range slices.Concat(m.Spec.Template.Spec.InitContainers, m.Spec.Template.Spec.Containers) {
			test(m, c)
		}
	}
}

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
				require.Contains(t, known, variable, m.Metadata.Name)
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
			require.NotEmpty(t, c.Resources.Requests["cpu"], c.Name)
			if m.Kind != "Deployment" {
				return
			}

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
					return d.Metadata.Name == m.Spec.ScaleTargetRef.Name
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
		require.Equal(t, image, c.Image)
		require.Equal(t, []string{"worker"}, c.Args)
		require.Equal(t, want, variables(t, all, c))
		require.Equal(t, "/health", c.StartupProbe.HTTPGet.Path)
	}
}
