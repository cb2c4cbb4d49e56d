package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"holdfast/internal/config"
	"holdfast/workers"
)

// manifest has those parts of a Kubernetes object that the tests look at.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct{ Containers []container }
		}
	}
}

type container struct {
	Image string
	Args  []string
	Env   []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	ReadinessProbe struct {
		HTTPGet struct{ Path string } `yaml:"httpGet"`
	} `yaml:"readinessProbe"`
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

// TestWorkerManifests: the manifests run the worker, and set only variables that it reads.
func TestWorkerManifests(t *testing.T) {
	t.Parallel()
	reads := map[string]string{}
	collect(reflect.TypeFor[workers.Config](), reads)
	collect(reflect.TypeFor[config.Common](), reads)
	files, err := filepath.Glob(root + "deploy/k8s/worker/*/*.yaml")
	require.NoError(t, err)
	kinds := map[string]int{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range manifests(t, raw) {
			kinds[m.Kind]++
			for variable := range m.Data {
				require.Contains(t, reads, variable, file)
			}
			for _, c := range m.Spec.Template.Spec.Containers {
				require.Equal(t, []string{"worker"}, c.Args, file)
				require.Equal(t, "/ready", c.ReadinessProbe.HTTPGet.Path, file)
				for _, e := range c.Env {
					require.Contains(t, reads, e.Name, file)
				}
			}
		}
	}
	require.Equal(t, map[string]int{
		"ConfigMap":        1,
		"Connection":       1,
		"Deployment":       1,
		"Kustomization":    3,
		"WorkerDeployment": 1,
	}, kinds)
}

// TestWorkerVersionOverlay builds one version's manifests as an operator does. Its pods have the build id that the
// Deployment's name and the image's tag have.
func TestWorkerVersionOverlay(t *testing.T) {
	t.Parallel()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("needs kubectl, which has kustomize in it")
	}
	cmd := exec.CommandContext(t.Context(), kubectl, "kustomize", root+"deploy/k8s/worker/version")
	raw, err := cmd.Output()
	require.NoError(t, err)

	built := manifests(t, raw)
	require.Len(t, built, 1)
	const build = "0123456789ab"
	require.Equal(t, "worker-"+build, built[0].Metadata.Name)
	pod := built[0].Spec.Template
	require.Equal(t, build, pod.Metadata.Labels["holdfast/build-id"])
	require.Equal(t, "holdfast:"+build, pod.Spec.Containers[0].Image)
	require.Equal(t, "TEMPORAL_WORKER_BUILD_ID", pod.Spec.Containers[0].Env[0].Name)
	require.Equal(t, "metadata.labels['holdfast/build-id']", pod.Spec.Containers[0].Env[0].ValueFrom.FieldRef.FieldPath)
}
