package gateway

import (
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/deadletter"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/inventory"
)

// TestEveryValueHasLimits walks every schema of every OpenAPI document: each text has a greatest length or is one of a
// list or has a format, each number a minimum and a maximum, and each list and each map a greatest size. What a client
// sends is held to these limits; from what a client receives, it knows how much it must be able to take.
func TestEveryValueHasLimits(t *testing.T) {
	t.Parallel()
	checked := 0
	for name, spec := range map[string][]byte{
		"orders":        api.Spec,
		"inventory":     inventory.OpenAPI,
		"dead messages": deadletter.OpenAPI,
		"webhooks":      merchantwebhook.OpenAPI,
		"notifications": notification.OpenAPI,
	} {
		doc, err := openapi3.NewLoader().LoadFromData(spec)
		require.NoError(t, err)
		w := limitWalk{t: t, seen: map[*openapi3.Schema]bool{}}
		for schema, ref := range doc.Components.Schemas {
			w.check(name+" "+schema, ref)
		}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				w.operation(name+" "+method+" "+path, item, op)
			}
		}
		checked += len(w.seen)
	}
	require.Greater(t, checked, 400)
}

// limitWalk visits each schema of a document once.
type limitWalk struct {
	t    *testing.T
	seen map[*openapi3.Schema]bool
}

func (w limitWalk) operation(at string, item *openapi3.PathItem, op *openapi3.Operation) {
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		w.check(at+" "+p.Value.Name, p.Value.Schema)
	}
	if op.RequestBody != nil {
		w.content(at+" body", op.RequestBody.Value.Content)
	}
	for status, response := range op.Responses.Map() {
		w.content(at+" "+status, response.Value.Content)
		for name, header := range response.Value.Headers {
			w.check(at+" "+status+" "+name, header.Value.Schema)
		}
	}
}

func (w limitWalk) content(at string, content openapi3.Content) {
	for mediaType, media := range content {
		w.check(at+" "+mediaType, media.Schema)
	}
}

func (w limitWalk) check(at string, ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil || w.seen[ref.Value] {
		return
	}
	s := ref.Value
	w.seen[s] = true
	switch {
	case s.Type.Is(openapi3.TypeString):
		require.True(w.t, s.MaxLength != nil || len(s.Enum) > 0 || s.Format != "", "%s has no maxLength", at)
	case s.Type.Is(openapi3.TypeInteger), s.Type.Is(openapi3.TypeNumber):
		require.True(w.t, s.Min != nil && s.Max != nil, "%s has no minimum or no maximum", at)
	case s.Type.Is(openapi3.TypeArray):
		require.NotNil(w.t, s.MaxItems, "%s has no maxItems", at)
		w.check(at+"[]", s.Items)
	}

	for name, property := range s.Properties {
		w.check(at+"."+name, property)
	}
	if free := s.AdditionalProperties.Schema; free != nil {
		require.NotNil(w.t, s.MaxProps, "%s has no maxProperties", at)
		w.check(at+".*", free)
	}
	for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
		w.check(at, part)
	}
}
