package linequantity_test

import (
	"bytes"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/config"
	"holdfast/internal/linequantity"
	"holdfast/inventory"
)

// TestApply: every quantity of a line that a client sends gets the limit, the documents stay valid, and with the
// default they are as they were.
func TestApply(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec   []byte
		schema string
		marked int
	}{
		"api":       {api.Spec, "CreateOrderLine", 6},
		"inventory": {inventory.OpenAPI, "ReserveLine", 3},
	} {
		require.Equal(t, c.marked, bytes.Count(c.spec, []byte("x-max-line-quantity")), name)
		require.Equal(t, string(c.spec), string(linequantity.Config{Most: linequantity.Default}.Apply(c.spec)), name)
		doc, err := openapi3.NewLoader().LoadFromData(linequantity.Config{Most: 7}.Apply(c.spec))
		require.NoError(t, err, name)
		require.InDelta(t, 7, *doc.Components.Schemas[c.schema].Value.Properties["quantity"].Value.Max, 0, name)
	}
}

// TestConfig: the default, and limits that cannot be.
func TestConfig(t *testing.T) {
	t.Parallel()
	cfg, err := config.LoadFrom[linequantity.Config](map[string]string{})
	require.NoError(t, err)
	require.EqualValues(t, linequantity.Default, cfg.Most)
	for _, wrong := range []string{"0", "-1", "1000001", "many"} {
		_, err := config.LoadFrom[linequantity.Config](map[string]string{"MAX_LINE_QUANTITY": wrong})
		require.ErrorContains(t, err, "MAX_LINE_QUANTITY")
	}
}
