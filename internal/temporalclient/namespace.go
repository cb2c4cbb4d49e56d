package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// Retention is how long Temporal keeps the history of a closed workflow. The api reads orders from the orders database,
// so Retention bounds only how long an engineer can replay and debug a history.
const Retention = 7 * 24 * time.Hour

// EnsureNamespace registers the configured namespace if it is missing, adds missing search attributes, and returns when
// the server accepts both. The call is idempotent, also from several processes at once. If the namespace exists with
// another retention, or a search attribute with another type, EnsureNamespace changes nothing and its error lists all
// differences: Temporal cannot change a type, and an operator has chosen the retention.
func EnsureNamespace(
	ctx context.Context,
	cfg Config,
	retention time.Duration,
	attributes map[string]enumspb.IndexedValueType,
) error {
	c, err := Dial(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer c.Close()

	state, err := InspectNamespace(ctx, c, cfg.Namespace, retention, attributes)
	if err != nil {
		return err
	}
	if len(state.Different) > 0 {
		return fmt.Errorf("namespace %s exists and is not as it should be; nothing was changed:\n  - %s",
			cfg.Namespace, strings.Join(state.Different, "\n  - "))
	}

	// Only an admin of the cluster may register a namespace. Without a need it is not tried, so that a token that may
	// write suffices for a namespace that is complete.
	if slices.Contains(state.Missing, "namespace "+cfg.Namespace) {
		_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace:                        cfg.Namespace,
			Description:                      "Holdfast: every order is a durable workflow.",
			WorkflowExecutionRetentionPeriod: durationpb.New(retention),
		})
		var exists *serviceerror.NamespaceAlreadyExists
		if err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("register namespace %s: %w", cfg.Namespace, err)
		}
	}

	// Every service of a Temporal cluster reads the list of namespaces every few seconds, so the cluster refuses a new
	// namespace for a moment.
	err = settle(ctx, func() error {
		_, err := listAttributes(ctx, c, cfg.Namespace)
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

func listAttributes(
	ctx context.Context,
	c client.Client,
	namespace string,
) (*operatorservice.ListSearchAttributesResponse, error) {
	return c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{
		Namespace: namespace,
	})
}

// NamespaceState is how a namespace differs from what is wanted.
type NamespaceState struct {
	// Missing are what EnsureNamespace would add: the namespace, or search attributes.
	Missing []string
	// Different are what EnsureNamespace refuses, each with its remedy.
	Different []string
}

// InspectNamespace compares a namespace with what is wanted. It changes nothing.
func InspectNamespace(
	ctx context.Context,
	c client.Client,
	namespace string,
	retention time.Duration,
	wanted map[string]enumspb.IndexedValueType,
) (NamespaceState, error) {
	var state NamespaceState
	described, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{
		Namespace: namespace,
	})
	var absent *serviceerror.NamespaceNotFound
	if errors.As(err, &absent) {
		state.Missing = append(state.Missing, "namespace "+namespace)
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			state.Missing = append(state.Missing, "search attribute "+name)
		}
		return state, nil
	}
	if err != nil {
		return state, fmt.Errorf("describe the namespace %s: %w", namespace, err)
	}
	if s := described.GetNamespaceInfo().GetState(); s != enumspb.NAMESPACE_STATE_REGISTERED {
		state.Different = append(state.Different, fmt.Sprintf("the namespace is %s: use another one", s))
	}
	if has := described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); has != retention {
		state.Different = append(state.Different, wrongRetention(namespace, has, retention))
	}

	have, err := listAttributes(ctx, c, namespace)
	if errors.As(err, &absent) { // it was registered a moment ago
		have, err = &operatorservice.ListSearchAttributesResponse{}, nil
	}
	if err != nil {
		return state, fmt.Errorf("list the search attributes of %s: %w", namespace, err)
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		existing, ok := have.GetCustomAttributes()[name]
		switch {
		case !ok:
			state.Missing = append(state.Missing, "search attribute "+name)
		case existing != wanted[name]:
			state.Different = append(state.Different, wrongType(namespace, name, existing, wanted[name]).Error())
		}
	}
	return state, nil
}

// CheckNamespace returns nil if the namespace exists and has all wanted search attributes. Otherwise its error says
// what EnsureNamespace would add. It changes nothing.
func CheckNamespace(
	ctx context.Context,
	c client.Client,
	namespace string,
	wanted map[string]enumspb.IndexedValueType,
) error {
	have, err := listAttributes(ctx, c, namespace)
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
		return fmt.Errorf("namespace %s lacks the search attributes %s; run `holdfast deploy prepare`",
			namespace, strings.Join(missing, ", "))
	}
	return nil
}

func wrongRetention(namespace string, has, wants time.Duration) string {
	return fmt.Sprintf("it keeps closed workflows for %s, not %s: say --retention %[1]s if that is right, "+
		"or run \"temporal operator namespace update --namespace %[3]s --retention %[2]s\"", has, wants, namespace)
}

func wrongType(namespace, name string, has, wants enumspb.IndexedValueType) error {
	return fmt.Errorf("search attribute %s of namespace %s has the type %s, not %s: remove it with "+
		"\"temporal operator search-attribute remove\" or use another namespace", name, namespace, has, wants)
}

// addSearchAttributes adds the wanted search attributes that the namespace does not have.
func addSearchAttributes(
	ctx context.Context,
	c client.Client,
	namespace string,
	wanted map[string]enumspb.IndexedValueType,
) error {
	// If two processes add attributes at once, the server refuses the later change of the namespace. So each attempt
	// reads the attributes again and adds the ones that are still missing.
	return settle(ctx, func() error {
		have, err := listAttributes(ctx, c, namespace)
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
		if errors.As(err, &invalid) { // for example, the visibility store has too few columns of an attribute's type
			return await.Never(fmt.Errorf("add search attributes to %s: %w", namespace, err))
		}
		if err != nil {
			return fmt.Errorf("add search attributes to %s: %w", namespace, err)
		}
		return nil
	})
}

// awaitUsable waits until the server accepts queries with the attributes. The server refuses a query, as it refuses the
// start of a workflow, until it has read the new attributes.
func awaitUsable(
	ctx context.Context,
	c client.Client,
	namespace string,
	attributes map[string]enumspb.IndexedValueType,
) error {
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
			_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: namespace,
				Query:     query,
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("wait until namespace %s answers %q: %w", namespace, query, err)
		}
	}
	return nil
}

// settleTimeout bounds how long all services of the cluster may take to read a change of a namespace.
const settleTimeout = time.Minute

// settle repeats a step until it succeeds, returns an error of await.Never, or settleTimeout has passed.
func settle(ctx context.Context, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return await.Until(ctx, 50*time.Millisecond, step)
}
