package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/api/review"
	"holdfast/internal/auth"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

func (s *scripted) Edit(
	_ context.Context, _ uuid.UUID, key string, in orderflow.EditInput,
) (orderflow.EditResult, error) {
	return s.edit(key, in)
}

func (i *toldInventory) Availabilities(_ context.Context, ids []uuid.UUID) ([]inventoryapi.Availability, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return nil, &inventoryapi.UnavailableError{Cause: errors.New("down")}
	}
	out := make([]inventoryapi.Availability, len(ids))
	for n, id := range ids {
		out[n] = inventoryapi.Availability{ProductID: id, AvailableQuantity: 2}
	}
	return out, nil
}

// TestEditOrder checks the answer to each outcome of a change of the lines.
func TestEditOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	product, _ := s.create(`{"sku":"MUG-1","name":"Mug","prices":[{"amount_minor":1490,"currency":"EUR"}]}`)
	body := `{"lines":[{"product_id":"` + product.ProductID.String() + `","quantity":3}]}`
	short := []orderflow.ShortLine{{ProductID: product.ProductID, Requested: 3, Available: 2}}

	for _, c := range []struct {
		name  string
		row   order.State
		res   orderflow.EditResult
		err   error
		wants answer
	}{
		{
			name:  "changed",
			row:   order.Reserved,
			res:   orderflow.EditResult{Outcome: orderflow.Edited},
			wants: answer{200, "", `"status":"reserved"`},
		},
		{
			name:  "out of stock",
			row:   order.Reserved,
			res:   orderflow.EditResult{Outcome: orderflow.EditOutOfStock, Short: short},
			wants: answer{409, "out_of_stock", `"requested":3`},
		},
		{
			name:  "refused by inventory",
			row:   order.Reserved,
			res:   orderflow.EditResult{Outcome: orderflow.EditRefused, Reason: "because"},
			wants: answer{422, "reservation_refused", "because"},
		},
		{
			name:  "too late",
			row:   order.Expired,
			res:   orderflow.EditResult{Outcome: orderflow.EditTooLate},
			wants: answer{410, "order_expired", "place a new one"},
		},
		{
			name:  "cancelled meanwhile",
			row:   order.Cancelled,
			res:   orderflow.EditResult{Outcome: orderflow.EditCancelled},
			wants: answer{409, "invalid_state", "cancelled meanwhile"},
		},
		{
			name:  "ended meanwhile",
			row:   order.Failed,
			res:   orderflow.EditResult{Outcome: orderflow.EditClosed},
			wants: answer{409, "invalid_state", "the order is failed"},
		},
		{
			name:  "under way",
			row:   order.Reserved,
			err:   orderclient.ErrUnderWay,
			wants: answer{202, "", `"status":"reserved"`},
		},
		{
			name:  "paid",
			row:   order.Confirmed,
			err:   refusedAs(string(order.InvalidState)),
			wants: answer{409, "invalid_state", "the workflow's words"},
		},
		{
			name:  "too often",
			row:   order.Reserved,
			err:   refusedAs(orderflow.ErrTooManyEdits),
			wants: answer{409, "too_many_edits", ""},
		},
		{
			name:  "ended",
			row:   order.Expired,
			err:   orderclient.ErrEnded,
			wants: answer{410, "order_expired", ""},
		},
		{
			name:  "not known",
			row:   order.Reserved,
			err:   errOpen,
			wants: whileStuck,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			s.workflows.edit = func(key string, in orderflow.EditInput) (orderflow.EditResult, error) {
				require.Equal(t, "k", key)
				require.Equal(t, money.Amount{Minor: 4470, Currency: "EUR"}, in.Total, "prices come from the catalogue")
				require.Equal(t, "MUG-1", in.Lines[0].SKU)
				c.res.Request = in.Request
				return c.res, c.err
			}
			s.expect(auth.Customer, http.MethodPut, s.recorded(c.row)+"/lines", body, c.wants, "Idempotency-Key", "k")
		})
	}

	s.workflows.edit = func(string, orderflow.EditInput) (orderflow.EditResult, error) {
		return orderflow.EditResult{Request: "of other lines", Outcome: orderflow.Edited}, nil
	}
	s.expect(auth.Customer, http.MethodPut, s.recorded(order.Reserved)+"/lines", body,
		answer{422, "idempotency_key_reused", ""}, "Idempotency-Key", "k")
	s.expect(auth.Customer, http.MethodPut, s.recorded(order.Reserved)+"/lines",
		`{"lines":[{"product_id":"`+uuid.NewString()+`","quantity":3}]}`, answer{422, "unknown_product", "lines[0]"})
}

// TestEditCountsAsHoard: the units of a change count against the limit of units in open orders, and fewer units than
// before are always allowed.
func TestEditCountsAsHoard(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	s.store.LimitOpen(orderstore.OpenLimits{Orders: 10, Units: 3})
	product, _ := s.create(`{"sku":"MUG-1","name":"Mug","prices":[{"amount_minor":1490,"currency":"EUR"}]}`)
	s.workflows.edit = func(_ string, in orderflow.EditInput) (orderflow.EditResult, error) {
		return orderflow.EditResult{Request: in.Request, Outcome: orderflow.Edited}, nil
	}
	lines := func(quantity string) string {
		return `{"lines":[{"product_id":"` + product.ProductID.String() + `","quantity":` + quantity + `}]}`
	}
	path := s.recorded(order.Reserved) + "/lines" // of one unit
	s.recorded(order.Reserved)
	s.expect(auth.Customer, http.MethodPut, path, lines("2"), answer{200, "", ""})
	s.expect(auth.Customer, http.MethodPut, path, lines("3"), answer{409, "open_order_limit", "keeps its lines"})
	s.recorded(order.Reserved)
	s.recorded(order.Reserved)
	s.expect(auth.Customer, http.MethodPut, path, lines("1"), answer{200, "", ""})
}

// TestEditPreview: the preview says for each product what would change, asks no workflow and changes nothing.
func TestEditPreview(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	product, _ := s.create(`{"sku":"MUG-1","name":"Mug","prices":[{"amount_minor":1000,"currency":"EUR"}]}`)
	body := `{"lines":[{"product_id":"` + product.ProductID.String() + `","quantity":3}]}`
	s.workflows.edit = func(string, orderflow.EditInput) (orderflow.EditResult, error) {
		t.Error("a preview changes nothing")
		return orderflow.EditResult{}, nil
	}
	path := s.recorded(order.Reserved)
	res, raw := s.send(auth.Customer, http.MethodPut, path+"/lines?preview=true", body)
	require.Equal(t, http.StatusOK, res.StatusCode, raw)

	got := decode[orderapi.Order](t, raw)
	require.Equal(t, price, got.Total, "the order as it is")
	old := got.Lines[0].ProductID
	require.Equal(t, orderapi.EditPreview{
		Total:           money.Amount{Minor: 3000, Currency: "EUR"},
		DifferenceMinor: 1510,
		Products: []orderapi.EditPreviewProduct{
			{ProductID: product.ProductID, SKU: "MUG-1", Name: "Mug", Quantity: 3, DifferenceMinor: 3000, Taken: 3, Short: 1},
			{ProductID: old, SKU: "A", Name: "A thing", DifferenceMinor: -1490, Released: 1},
		},
	}, got.EditPreview)

	for state, want := range map[order.State]answer{
		order.Confirmed:   {409, "invalid_state", "cancel lines of it"},
		order.InReview:    {409, "order_in_review", "change it then"},
		order.Backordered: {409, "order_backordered", "place a new one"},
		order.Paying:      {409, "payment_in_progress", "if it fails"},
		order.Cancelled:   {409, "invalid_state", "does not allow"},
		order.Expired:     {410, "order_expired", "place a new one"},
	} {
		s.expect(auth.Customer, http.MethodPut, s.recorded(state)+"/lines?preview=true", body, want)
	}
	s.stock.down = true
	s.expect(auth.Customer, http.MethodPut, path+"/lines?preview=true", body, answer{503, "inventory_unavailable", ""})
}

// TestEditNeedsNoReview: lines for which an operator would have to approve the order are refused, unless an operator
// has approved the order for the same rule and the total does not grow.
func TestEditNeedsNoReview(t *testing.T) {
	t.Parallel()
	h := &handlers{review: review.Config{Amounts: map[string]string{"EUR": "1000"}}}
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	approved := &orderflow.Review{Reasons: []string{review.Amount}}
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	for name, o := range map[string]struct {
		review     *orderflow.Review
		now, after int64
		refused    bool
	}{
		"below the rule":           {nil, 500, 999, false},
		"reaches the rule":         {nil, 500, 1000, true},
		"approved, and cheaper":    {approved, 2000, 1500, false},
		"approved, and dearer":     {approved, 2000, 2001, true},
		"approved by another rule": {&orderflow.Review{Reasons: []string{review.NewCountry}}, 500, 1000, true},
	} {
		row := orderstore.Order{Total: eur(o.now), Review: o.review}
		err := h.checkReview(t.Context(), c, row, &orderflow.OrderInput{Total: eur(o.after)})
		var p *problem.Problem
		require.Equal(t, o.refused, errors.As(err, &p), name)
		if o.refused {
			require.Equal(t, orderapi.ReviewRequired, p.Code)
		}
	}
}
