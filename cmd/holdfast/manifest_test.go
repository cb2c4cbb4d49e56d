package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The folders of deploy/k8s that an operator renders.
const (
	devOverlay    = "overlays/dev"
	prodOverlay   = "overlays/prod"
	encrypted     = "-encrypted" // after the name of an overlay: with the codec server; the test makes it
	complete      = "-complete"  // after the name of an overlay: with each setting that it has in comments
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
		Endpoints       []podEndpoint `yaml:"podMetricsEndpoints"`
		Template        podTemplate
	}
}

// same reports whether both are the same object of a cluster.
func (m manifest) same(other manifest) bool {
	return m.Kind == other.Kind && m.Metadata == other.Metadata
}

// podEndpoint is a port from which Prometheus collects metrics.
type podEndpoint struct {
	Port        string
	Relabelings []struct {
		SourceLabels []string `yaml:"sourceLabels"`
		Regex        string
		TargetLabel  string `yaml:"targetLabel"`
	}
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
		SecretRef    struct {
			Name     string
			Optional bool
		} `yaml:"secretRef"`
	} `yaml:"envFrom"`
	VolumeMounts []struct {
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
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

// copied copies deploy/k8s, with the example's secrets and with an encrypted overlay beside each overlay.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(root+"deploy/k8s")))
	for _, overlay := range []string{devOverlay, prodOverlay} {
		shared := filepath.Join(dir, overlay, "shared")
		raw, err := os.ReadFile(filepath.Join(shared, "secrets.example.env"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(shared, "secrets.env"), raw, 0o600))
		encrypt(t, dir, overlay)
	}
	return dir
}

// render builds a folder of deploy/k8s as an operator does, with the example's secrets, and checks every object against
// the types of Kubernetes' API.
func render(t *testing.T, folder string) []manifest {
	t.Helper()
	return build(t, filepath.Join(copied(t), folder))
}

func build(t *testing.T, folder string) []manifest {
	t.Helper()
	raw := output(t, exec.CommandContext(t.Context(), tool(t, "kustomize"), "build", folder))
	checkObjects(t, raw)
	return manifests(t, raw)
}

// commented matches the settings that a file has in comments, and not its sentences.
var commented = regexp.MustCompile(`(?m)^( +)# (- name: |- \.\./\.\./monitoring|- [A-Z_]+=|  +[a-zA-Z-]|[A-Z_]+: )`)

// useComments turns the settings in comments of the production overlay and of the workers into settings.
func useComments(t *testing.T, dir string) {
	t.Helper()
	shared := filepath.Join(dir, prodOverlay, "shared")
	for _, path := range []string{
		filepath.Join(dir, prodOverlay, "kustomization.yaml"),
		filepath.Join(shared, "kustomization.yaml"),
		filepath.Join(dir, workerShared, "config.yaml"),
	} {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Regexp(t, commented, string(raw))
		require.NoError(t, os.WriteFile(path, commented.ReplaceAll(raw, []byte("$1$2")), 0o600))
	}
	for name, content := range map[string]string{
		"temporal.env":    "TEMPORAL_API_KEY=key\nTEMPORAL_ADDRESS=temporal.example:7233\n",
		"temporal-ca.pem": "pem", "postgres-ca.pem": "pem", "redis-ca.pem": "pem", "rabbitmq-ca.pem": "pem",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(shared, name), []byte(content), 0o600))
	}
}

// encrypt makes a copy of an overlay that has the codec server, before what names the image, and a key for it.
func encrypt(t *testing.T, dir, overlay string) {
	t.Helper()
	at := filepath.Join(dir, overlay+encrypted)
	require.NoError(t, os.CopyFS(at, os.DirFS(filepath.Join(dir, overlay))))
	file := filepath.Join(at, "kustomization.yaml")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	with := componentsStart.ReplaceAll(raw, []byte("components:\n  - ../../codec\n  - shared\n"))
	require.NotEqual(t, raw, with)
	require.NoError(t, os.WriteFile(file, with, 0o600))
	secrets, err := os.OpenFile(filepath.Join(at, "shared", "secrets.env"), os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = secrets.WriteString("\nTEMPORAL_PAYLOAD_KEYS=a-key\n")
	require.NoError(t, errors.Join(err, secrets.Close()))
}

// componentsStart matches the components of an overlay.
var componentsStart = regexp.MustCompile(`(?m)^components:.*\n( .*\n)*`)

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
	dir, name := copied(t), overlay
	if strings.HasSuffix(overlay, complete) {
		useComments(t, dir)
		name = strings.TrimSuffix(overlay, complete)
	}
	folder := func(name string) []manifest { return build(t, filepath.Join(dir, name)) }
	all := slices.Concat(folder(name), folder(workerShared), folder(workerVersion))
	for _, m := range folder(strings.TrimSuffix(name, encrypted) + migrations) {
		if !slices.ContainsFunc(all, m.same) {
			all = append(all, m)
		}
	}
	return all
}

// eachOverlay runs a test on both environments, each without and with the codec server, and on production with each of
// its settings.
func eachOverlay(t *testing.T, test func(t *testing.T, overlay string, all []manifest)) {
	t.Helper()
	for _, overlay := range []string{
		devOverlay, prodOverlay, devOverlay + encrypted, prodOverlay + encrypted, prodOverlay + complete,
	} {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			test(t, overlay, deployed(t, overlay))
		})
	}
}

// fromSecret stands for a value from a Secret whose keys are variables.
const fromSecret = "(from a Secret)"

// variables returns what a container gets, with the values that are known.
func variables(t *testing.T, all []manifest, c container) map[string]string {
	t.Helper()
	out := map[string]string{}
	secrets := map[string]map[string]string{}
	for _, secret := range ofKind(all, "Secret") {
		secrets[secret.Metadata.Name] = secret.Data
	}
	for _, from := range c.EnvFrom { // the last has precedence
		if ref := from.SecretRef; ref.Name != "" {
			require.True(t, ref.Optional || secrets[ref.Name] != nil, "the Secret %s", ref.Name)
			for name := range secrets[ref.Name] {
				out[name] = fromSecret
			}
			continue
		}
		maps.Copy(out, settings(t, all, from.ConfigMapRef.Name))
	}
	for _, e := range c.Env {
		if ref := e.ValueFrom.ConfigMapKeyRef; ref.Name != "" {
			if value, ok := settings(t, all, ref.Name)[ref.Key]; ok {
				out[e.Name] = value
			}
			continue
		}
		out[e.Name] = e.Value
		if ref := e.ValueFrom.SecretKeyRef; ref.Name != "" {
			require.Contains(t, secrets, ref.Name, "%s of %s", e.Name, c.Name)
			if !ref.Optional {
				require.Contains(t, secrets[ref.Name], ref.Key, "%s of %s", e.Name, c.Name)
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
