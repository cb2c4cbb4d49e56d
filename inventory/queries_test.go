package inventory_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

func TestServiceConformsToQueries(t *testing.T) {
	t.Parallel()
	inventorytest.QueriesConformance(t, inventorytest.NewService(t))
}

func TestClientConformsToQueries(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	inventorytest.QueriesConformance(t, s)
}

// TestQueriesOfNothing: an empty inventory has statistics and empty lists, without a division by zero.
func TestQueriesOfNothing(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	q := s.API.(inventoryapi.Queries)
	stats, err := q.Statistics(t.Context())
	require.NoError(t, err)
	require.False(t, stats.AsOf.IsZero())
	require.Equal(t, inventoryapi.Statistics{AsOf: stats.AsOf, Locations: 2}, stats)
	most, err := q.MostReserved(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, []inventoryapi.ReservedProduct{}, most.Items)
	list, err := q.List(t.Context(), inventoryapi.Page{})
	require.NoError(t, err)
	require.Equal(t, inventoryapi.AvailabilityList{Items: []inventoryapi.Availability{}}, list)
	low, err := q.LowStock(t.Context(), inventoryapi.LowStockFilter{}, inventoryapi.Page{})
	require.NoError(t, err)
	require.Equal(t, inventoryapi.LowStockList{Items: []inventoryapi.LowStockItem{}}, low)
}

// TestBadQueries sends faults over HTTP that only the service can find. The tests of the handlers have the faults of
// syntax.
func TestBadQueries(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	known, unknown := s.Stock(t, 1).String(), uuid.NewString()
	cursor := func(position string) string { return base64.RawURLEncoding.EncodeToString([]byte(position)) }
	for _, c := range []struct {
		path   string
		status int
		code   problem.Code
		field  string
	}{
		{"?limit=201", 400, problem.InvalidInput, "limit"},
		{"?limit=-1", 400, problem.InvalidInput, "limit"},
		{"?cursor=nonsense", 400, problem.InvalidInput, "cursor"},
		{"?cursor=" + cursor(`{"p":"x"}`), 400, problem.InvalidInput, "cursor"},
		{"?cursor=" + cursor(`{"g":5}`), 400, problem.InvalidInput, "cursor"},
		{"/most-reserved?limit=101", 400, problem.InvalidInput, "limit"},
		{"/low-stock?limit=201", 400, problem.InvalidInput, "limit"},
		{"/low-stock?cursor=!", 400, problem.InvalidInput, "cursor"},
		{"/low-stock?cursor=" + cursor(`{"l":99999999999,"i":1}`), 400, problem.InvalidInput, "cursor"},
		{"/low-stock?location=nowhere", 400, problem.InvalidInput, "location"},
		{"/low-stock?location=%00", 400, problem.InvalidInput, "location"},
		{"/low-stock?location=N%27%3B--", 400, problem.InvalidInput, "location"},
		{"/" + known + "/holds?limit=1000", 400, problem.InvalidInput, "limit"},
		{"/" + known + "/holds?cursor=" + cursor(`{"e":"tomorrow"}`), 400, problem.InvalidInput, "cursor"},
		{"/" + unknown + "/holds", 404, "product_not_found", "product_id"},
		{"/" + known + "/ledger?limit=-7", 400, problem.InvalidInput, "limit"},
		{"/" + known + "/ledger?cursor=" + cursor(`{"g":-5}`), 400, problem.InvalidInput, "cursor"},
		{"/" + known + "/ledger?location=NEAR", 400, problem.InvalidInput, "location"},
		{"/" + unknown + "/ledger", 404, "product_not_found", "product_id"},
		{"/" + unknown + "/ledger?location=near", 404, "product_not_found", "product_id"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/inventory"+c.path, nil)
		require.NoError(t, err)
		req.Header.Set("X-API-Key", inventorytest.ServiceKey)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		var p problem.Problem
		require.NoError(t, json.NewDecoder(res.Body).Decode(&p), c.path)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode, "%s: %+v", c.path, p)
		require.Equal(t, c.code, p.Code, c.path)
		require.Equal(t, c.field, p.Field, c.path)
		require.NotEmpty(t, p.CorrelationID, c.path)
	}
}

// TestQueriesWithoutDatabase: every query immediately fails as unavailable, which is retryable.
func TestQueriesWithoutDatabase(t *testing.T) {
	t.Parallel()
	q := inventorytest.NewClient(t, inventorytest.StartProcess(t, "postgres://nobody@127.0.0.1:1/none?sslmode=disable"))
	_, err := q.List(t.Context(), inventoryapi.Page{})
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	_, err = q.Statistics(t.Context())
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	_, err = q.MostReserved(t.Context(), 5)
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	_, err = q.LowStock(t.Context(), inventoryapi.LowStockFilter{Location: "near"}, inventoryapi.Page{})
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	_, err = q.Holds(t.Context(), uuid.New(), inventoryapi.Page{})
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	_, err = q.Ledger(t.Context(), uuid.New(), "", inventoryapi.Page{})
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.True(t, inventoryapi.Retryable(err))
}
