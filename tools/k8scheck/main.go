// Command k8scheck reads Kubernetes objects from standard input and decodes each into the type of Kubernetes' own API.
// An unknown or a misplaced field, a duplicate key or a kind that it does not know is a fault. It needs no cluster.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// types has an empty object for each kind.
var types = map[string]func() any{
	"v1 ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1 Namespace":                           func() any { return &corev1.Namespace{} },
	"v1 Secret":                              func() any { return &corev1.Secret{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"v1 ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"batch/v1 CronJob":                       func() any { return &batchv1.CronJob{} },
	"batch/v1 Job":                           func() any { return &batchv1.Job{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1 Ingress":           func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
}

// custom are kinds of other projects, whose types are not part of Kubernetes. Only their metadata is checked.
var custom = []string{
	"keda.sh/v1alpha1 ScaledObject",
	"monitoring.coreos.com/v1 PodMonitor",
	"temporal.io/v1alpha1 Connection",
	"temporal.io/v1alpha1 WorkerDeployment",
}

func main() {
	n, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "k8scheck:", err)
		os.Exit(1)
	}
	fmt.Println(n, "objects are valid")
}

// check decodes every object and joins all faults.
func check(in io.Reader) (n int, faults error) {
	reader := yamlutil.NewYAMLReader(bufio.NewReader(in))
	for {
		raw, err := reader.Read()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				faults = errors.Join(faults, errors.New("there is no object"))
			}
			return n, faults
		}
		if err != nil {
			return n, errors.Join(faults, err)
		}
		var meta struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
		}
		if err := yaml.Unmarshal(raw, &meta); err != nil {
			faults = errors.Join(faults, err)
			continue
		}

		n++
		kind := meta.APIVersion + " " + meta.Kind
		fail := func(err error) { faults = errors.Join(faults, fmt.Errorf("%s %s: %w", kind, meta.Name, err)) }
		if meta.Name == "" {
			fail(errors.New("it has no name"))
		}
		object, known := types[kind]
		switch {
		case known:
			if err := yaml.UnmarshalStrict(raw, object()); err != nil {
				fail(err)
			}
		case !slices.Contains(custom, kind):
			fail(errors.New("the kind is unknown here"))
		}
	}
}
