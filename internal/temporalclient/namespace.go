package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"holdfast/internal/await"
)

// Retention is how long Temporal keeps the history of a closed workflow. Orders are read from the
// orders database, so this bounds only how long a history can be replayed and debugged.
const Retention = 7 * 24 * time.Hour

// EnsureNamespace registers the configured namespace where it is missing, adds the search attributes
// it does not have yet, and returns once the server accepts both. An existing namespace keeps its
// settings; calling it again, or from several processes at once, changes nothing. A search attribute
// that exists with another type is an error: Temporal cannot change a type.
func EnsureNamespace(ctx context.Context, cfg Config, retention time.Duration, attributes map[string]enumspb.IndexedValueType) error {
	c, err := Dial(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer c.Close()

	_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        cfg.Namespace,
		Description:                      "Holdfast: every order is a durable workflow.",
		WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("register namespace %s: %w", cfg.Namespace, err)
	}
	// Every service of a Temporal cluster reads its list of namespaces every few seconds, and each at
	// its own time; a new namespace is refused for a moment.
	err = settle(ctx, func() error {
		_, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: cfg.Namespace})
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for namespace %s: %w", cfg.Namespace, err)
	}
	if err := addSearchAttributes(ctx, c, cfg.Namespace, attributes); err != nil {
		return err
	}
	return awaitUsable(ctx, c, cfg.Namespace, attributes)
}

// CheckNamespace returns an error that says what EnsureNamespace would have to make, or nil when the namespace has all
// that orders need. It changes nothing.
func CheckNamespace(ctx context.Context, c client.Client, namespace string, wanted map[string]enumspb.IndexedValueType) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	var absent *serviceerror.NamespaceNotFound
	if errors.As(err, &absent) {
		return fmt.Errorf("namespace %s does not exist; run `holdfast deploy prepare`", namespace)
	}
	if err != nil {
		return fmt.Errorf("list the search attributes of %s: %w", namespace, err)
	}
	missing := []string{}
	for name, kind := range wanted {
		existing, ok := have.GetCustomAttributes()[name]
		if ok && existing != kind {
			return wrongType(namespace, name, existing, kind)
		}
		if !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("namespace %s lacks the search attributes %s; run `holdfast deploy prepare`", namespace, strings.Join(missing, ", "))
	}
	return nil
}

func wrongType(namespace, name string, has, wants enumspb.IndexedValueType) error {
	return fmt.Errorf("search attribute %s of namespace %s has the type %s, not %s: remove it with "+
		"\"temporal operator search-attribute remove\" or use another namespace", name, namespace, has, wants)
}

// addSearchAttributes adds those that the namespace does not have.
func addSearchAttributes(ctx context.Context, c client.Client, namespace string, wanted map[string]enumspb.IndexedValueType) error {
	// Two processes that add attributes at once overwrite each other's change of the namespace, and the
	// server refuses the later one: look again and add what is still missing.
	return settle(ctx, func() error {
		have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
		if err != nil {
			return fmt.Errorf("list the search attributes of %s: %w", namespace, err)
		}
		missing := map[string]enumspb.IndexedValueType{}
		for name, kind := range wanted {
			existing, ok := have.GetCustomAttributes()[name]
			switch {
			case !ok:
				missing[name] = kind
			case existing != kind:
				return await.Never(wrongType(namespace, name, existing, kind))
			}
		}
		if len(missing) == 0 {
			return nil
		}
		_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: namespace, SearchAttributes: missing,
		})
		var invalid *serviceerror.InvalidArgument
		if errors.As(err, &invalid) { // for example more attributes of a type than the visibility store has columns
			return await.Never(fmt.Errorf("add search attributes to %s: %w", namespace, err))
		}
		if err != nil {
			return fmt.Errorf("add search attributes to %s: %w", namespace, err)
		}
		return nil
	})
}

// awaitUsable asks the way a workflow's start will: with the attributes in a query, which is refused
// until the server has taken notice of them.
func awaitUsable(ctx context.Context, c client.Client, namespace string, attributes map[string]enumspb.IndexedValueType) error {
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	queries := []string{"WorkflowType IS NULL"}
	for _, name := range names {
		queries = append(queries, name+" IS NULL")
	}
	for _, query := range queries {
		err := settle(ctx, func() error {
			_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: query})
			return err
		})
		if err != nil {
			return fmt.Errorf("wait until namespace %s answers %q: %w", namespace, query, err)
		}
	}
	return nil
}

// settleTimeout bounds how long the cluster may take to agree on a change of a namespace.
const settleTimeout = time.Minute

// settle repeats a step until it succeeds, fails for good, or the cluster has had its time.
func settle(ctx context.Context, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return await.Until(ctx, 50*time.Millisecond, step)
}
