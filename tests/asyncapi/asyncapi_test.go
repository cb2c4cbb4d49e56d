package asyncapi

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKnowsOnlyTheDocument: the consumer imports nothing of Holdfast.
func TestKnowsOnlyTheDocument(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			require.False(t, strings.HasPrefix(i.Path.Value, `"holdfast/`), "%s imports %s", name, i.Path.Value)
		}
	}
}

// TestRead: an example of the document is valid. A message of another channel, with another key or without a member
// that its schema requires is not.
func TestRead(t *testing.T) {
	t.Parallel()
	d, err := Load("../../docs/events/asyncapi.yaml")
	require.NoError(t, err)
	require.Len(t, d.Channels, 2)
	example, err := os.ReadFile("../../docs/events/examples/order.paid.v1.json")
	require.NoError(t, err)

	for _, c := range d.Channels {
		e, err := c.read("order.paid", example)
		if c.Exchange != "orders.events" {
			require.ErrorContains(t, err, "has no message")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "order.paid", e.EventType)
		_, err = c.read("order.created", example)
		require.ErrorContains(t, err, "routing key")
		_, err = c.read("order.paid", []byte(strings.Replace(string(example), `"attempt"`, `"try"`, 1)))
		require.ErrorContains(t, err, "schema")
		_, err = c.read("order.paid", []byte(`{`))
		require.ErrorContains(t, err, "JSON")
	}
}
