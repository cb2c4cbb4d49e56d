package server

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/orderstore"
)

// TestToldOfWhatIsSold: inventory hears of each change of the sellable flag once it answers. An old message does not
// undo a newer one.
func TestToldOfWhatIsSold(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	p, _ := s.create(`{"sku":"TOLD","name":"Told","prices":[]}`)
	path := "/api/products/" + p.ProductID.String()
	put := func(active bool) {
		body := fmt.Sprintf(`{"sku":"TOLD","name":"Told","active":%t,"prices":[]}`, active)
		res, raw := s.send(auth.Operator, http.MethodPut, path, body, "If-Match", "*")
		require.Equal(t, http.StatusOK, res.StatusCode, raw)
	}
	require.Zero(t, s.stock.of(p.ProductID), "inventory takes an unknown product for sold, so it is not told")

	res, _ := s.send(auth.Operator, http.MethodDelete, path, "")
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	told := s.stock.of(p.ProductID)
	require.Equal(t, []any{false, int64(2)}, []any{told.Sellable, told.CatalogueVersion}, "before the answer")

	s.stock.stop(true)
	put(true)
	require.EqualValues(t, 2, s.stock.of(p.ProductID).CatalogueVersion, "the change itself does not wait for inventory")
	require.Error(t, s.sellable.all(t.Context()))
	s.stock.stop(false)
	require.NoError(t, s.sellable.all(t.Context()))
	require.True(t, s.stock.of(p.ProductID).Sellable)

	// A process that read the product before it changed, and tells inventory only now, removes no mark.
	s.stock.stop(true)
	put(false)
	put(true)
	s.stock.stop(false)
	old := orderstore.Activity{ProductID: p.ProductID, Active: false, Version: 4}
	require.NoError(t, s.sellable.one(t.Context(), old))
	require.False(t, s.stock.of(p.ProductID).Sellable)
	require.NoError(t, s.sellable.all(t.Context()))
	require.True(t, s.stock.of(p.ProductID).Sellable)
	left, err := s.sellable.store.Untold(t.Context(), [16]byte{}, 10)
	require.NoError(t, err)
	require.Empty(t, left)

	// An import tells inventory as well.
	s.imports("sku,name,active\nTOLD,Told,false\nTOLD-2,Second,false\n", "")
	require.NoError(t, s.sellable.all(t.Context()))
	require.False(t, s.stock.of(p.ProductID).Sellable)
	require.Len(t, s.stock.sold, 2)
}

// TestReplaceByTheSame: a replacement by equal values keeps the version, also with a stale ETag.
func TestReplaceByTheSame(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	p, _ := s.create(`{"sku":"SAME","name":"Same",
		"prices":[{"amount_minor":2,"currency":"USD"},{"amount_minor":1,"currency":"EUR"}]}`)
	path := "/api/products/" + p.ProductID.String()
	put := func(tag, name string) *http.Response {
		body := fmt.Sprintf(`{"sku":"SAME","name":%q,
			"prices":[{"amount_minor":1,"currency":"EUR"},{"amount_minor":2,"currency":"USD"}]}`, name)
		res, _ := s.send(auth.Operator, http.MethodPut, path, body, "If-Match", tag)
		return res
	}

	require.Equal(t, `"1"`, put(`"1"`, "Same").Header.Get("ETag"))
	require.Equal(t, `"2"`, put(`"1"`, "Other").Header.Get("ETag"))
	again := put(`"1"`, "Other") // the client has lost the first answer
	require.Equal(t, []any{http.StatusOK, `"2"`}, []any{again.StatusCode, again.Header.Get("ETag")})
	require.Equal(t, http.StatusPreconditionFailed, put(`"1"`, "Third").StatusCode)
}

// TestCursorOfAnotherList: a list refuses a cursor of another list.
func TestCursorOfAnotherList(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for _, sku := range []string{"C-1", "C-2"} {
		s.create(fmt.Sprintf(`{"sku":%q,"name":"x","prices":[]}`, sku))
	}
	_, raw := s.send(auth.Operator, http.MethodGet, "/api/products?limit=1", "")
	cursor := decode[orderapi.ProductList](t, raw).NextCursor
	require.NotEmpty(t, cursor)

	for path, status := range map[string]int{
		"/api/products?": 200, "/api/products?active=any&": 400, "/api/orders?": 400,
	} {
		res, raw := s.send(auth.Operator, http.MethodGet, path+"cursor="+cursor, "")
		require.Equal(t, status, res.StatusCode, "%s: %s", path, raw)
	}
}
