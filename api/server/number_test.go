package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
)

// TestFindByNumber: people find an order by its number, as they write it. A customer finds no order of others.
func TestFindByNumber(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	path := s.recorded(order.Reserved)
	_, raw := s.send(auth.Customer, http.MethodGet, path, "")
	placed := decode[orderapi.Order](t, raw)
	require.Equal(t, "HF-100001", placed.Number)

	find := func(role auth.Role, query string) []orderapi.Order {
		res, raw := s.send(role, http.MethodGet, "/api/orders?"+query, "")
		require.Equal(t, http.StatusOK, res.StatusCode, raw)
		return decode[orderapi.OrderList](t, raw).Items
	}
	for _, written := range []string{"HF-100001", "hf-100001", "100001"} {
		found := find(auth.Customer, "number="+written)
		require.Len(t, found, 1, written)
		require.Equal(t, placed.OrderID, found[0].OrderID)
	}
	require.Equal(t, "HF-100001", find(auth.Customer, "limit=1")[0].Number, "lists have it too")
	require.Empty(t, find(auth.Customer, "number=HF-100002"))

	theirs := recordOf(uuid.New(), "another", strings.Repeat("ab", 32), order.Reserved, nil)
	_, err := orderstore.New(s.pool).Record(t.Context(), theirs)
	require.NoError(t, err)
	require.Empty(t, find(auth.Customer, "number=HF-100002"))
	require.Len(t, find(auth.Operator, "number=HF-100002"), 1)

	for _, query := range []string{
		"number=A-1", "number=HF-1", "number=HF-100001&status=reserved", "number=HF-100001&cursor=x",
	} {
		res, raw := s.send(auth.Operator, http.MethodGet, "/api/orders?"+query, "")
		require.Equal(t, http.StatusBadRequest, res.StatusCode, query)
		require.Contains(t, raw, `"field":"number"`, query)
	}
}
