package server

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// TestContractKnowsEveryState: the contract lists each state of an order, each step of a payment and each state of a
// step, and no other, and a client may ask for orders in all states at once. A test of orderstore compares the
// database's constraints with the same lists.
func TestContractKnowsEveryState(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	require.NoError(t, err)
	enum := func(schema *openapi3.Schema) []string {
		var out []string
		for _, v := range schema.Enum {
			out = append(out, v.(string))
		}
		return out
	}

	var states, steps, ends []string
	for _, s := range order.States() {
		states = append(states, string(s))
		require.Equal(t, string(s), string(wireOrder(orderstore.Order{State: s}).Status))
	}
	for _, s := range orderflow.PaymentSteps() {
		steps = append(steps, string(s))
	}
	for _, s := range orderflow.PaymentStates() {
		ends = append(ends, string(s))
	}

	schemas := doc.Components.Schemas
	require.ElementsMatch(t, states, enum(schemas["OrderStatus"].Value))
	filter := doc.Paths.Value("/api/orders").Get.Parameters.GetByInAndName(openapi3.ParameterInQuery, "status")
	require.EqualValues(t, len(states), *filter.Schema.Value.MaxItems, "a client may ask for all states at once")
	require.ElementsMatch(t, steps, enum(schemas["Payment"].Value.Properties["step"].Value))
	require.ElementsMatch(t, ends, enum(schemas["Payment"].Value.Properties["state"].Value))
}
