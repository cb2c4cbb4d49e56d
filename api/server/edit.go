package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/api/review"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderflow"
)

// EditOrder asks the order's workflow to replace the lines of the order. The new lines are priced as those of a new
// order.
func (h *handlers) EditOrder(c *gin.Context, id uuid.UUID, params orderapi.EditOrderParams) {
	var body orderapi.EditOrder
	key, ok := h.begin(c, id, &body, params.IdempotencyKey)
	if !ok {
		return
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	request, err := orderflow.RequestHash(body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	priced, err := h.priceEdit(c, row, body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	if params.Preview {
		h.previewEdit(c, row, priced)
		return
	}

	res, err := h.workflows.Edit(c.Request.Context(), id, key, orderflow.EditInput{
		Lines:         priced.Lines,
		Total:         priced.Total,
		Request:       request,
		Actor:         auth.From(c).Subject,
		CorrelationID: correlation.From(c.Request.Context()),
	})
	h.answerOrder(c, id, order.Edit, err, func(row orderstore.Order) error {
		if res.Request != request {
			return keyReused(id)
		}
		return edited(res, row)
	})
}

// edited turns the outcome of a change into a problem, or into nil if the lines have changed.
func edited(res orderflow.EditResult, row orderstore.Order) error {
	switch res.Outcome {
	case orderflow.Edited:
		return nil
	case orderflow.EditOutOfStock:
		detail := "there is not enough stock, and the order keeps its lines; order less, or try again later with a new key"
		return forOrder(orderapi.OutOfStock, detail, row).WithLines(res.Short)
	case orderflow.EditRefused:
		return forOrder(orderapi.ReservationRefused, "the order keeps its lines: "+res.Reason, row)
	case orderflow.EditTooLate:
		return forOrder(orderapi.OrderExpired, "the order had expired; place a new one", row)
	case orderflow.EditCancelled:
		return forOrder(orderapi.InvalidState, "the order was cancelled meanwhile", row)
	case orderflow.EditClosed:
		return forOrder(orderapi.InvalidState, "the lines were not changed: the order is "+string(row.State), row)
	default:
		return fmt.Errorf("the workflow of order %s answered an unknown outcome %q", row.OrderID, res.Outcome)
	}
}

// priceEdit prices the new lines of an order and checks them as those of a new order. An order that has ended or is
// paid is not checked: its workflow says why it refuses.
func (h *handlers) priceEdit(
	c *gin.Context, row orderstore.Order, body orderapi.EditOrder,
) (*orderflow.OrderInput, error) {
	in := &orderflow.OrderInput{
		OrderID:    row.OrderID,
		CustomerID: row.CustomerID,
		Issuer:     row.Issuer,
		Total:      money.Amount{Currency: row.Total.Currency},
		ShipTo:     row.ShipTo,
	}
	units := int64(0)
	for i, l := range body.Lines {
		in.Lines = append(in.Lines, orderflow.Line{LineNo: i + 1, ProductID: l.ProductID, Quantity: l.Quantity})
		units += l.Quantity
	}
	if err := h.price(c, in, orderapi.CreateOrder{Lines: make([]orderapi.CreateOrderLine, len(in.Lines))}); err != nil {
		return nil, err
	}
	if row.State.Settled() {
		return in, nil
	}
	if orderstore.InputOf(row).HasCharges() {
		return nil, forOrder(orderapi.InvalidState,
			"the shop has set taxes, discounts or the shipping for the present lines; cancel the order and order again", row)
	}

	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	if err := h.checkReview(ctx, c, row, in); err != nil {
		return nil, err
	}
	err := h.store.CheckEdit(ctx, row, units)
	var hoarding *orderstore.HoardingError
	switch {
	case errors.As(err, &hoarding):
		return nil, forOrder(orderapi.OpenOrderLimit, fmt.Sprintf(
			"the customer has %d unpaid orders of %d units in all, and the shop allows no more than that at once; "+
				"the order keeps its lines", hoarding.OpenOrders, hoarding.OpenUnits), row)
	case err != nil:
		return nil, h.unavailable(c, err)
	}
	return in, nil
}

// checkReview refuses lines for which an operator would have to approve the order. An operator has approved the order
// for the rules that its row names, up to its present total.
func (h *handlers) checkReview(
	ctx context.Context, c *gin.Context, row orderstore.Order, in *orderflow.OrderInput,
) error {
	needed, err := h.review.Of(ctx, h.store, *in)
	if err != nil {
		return h.unavailable(c, err)
	}
	if needed == nil {
		return nil
	}
	for _, rule := range needed.Reasons {
		approved := row.Review != nil && slices.Contains(row.Review.Reasons, rule)
		if !approved || rule != review.NewCountry && in.Total.Minor > row.Total.Minor {
			return forOrder(orderapi.ReviewRequired, "an operator would have to approve the order with these lines, "+
				"so it keeps its lines; order less, or place a new order", row)
		}
	}
	return nil
}

// previewEdit answers the order with what a change of its lines would do.
func (h *handlers) previewEdit(c *gin.Context, row orderstore.Order, in *orderflow.OrderInput) {
	rule := order.Decide(row.State, order.Edit)
	switch {
	case rule.Refusal == order.Overdue, row.Overdue(time.Now()):
		httpx.Fail(c, forOrder(orderapi.OrderExpired, "the order has expired; place a new one", row))
		return
	case rule.Refusal != "":
		detail := row.State.InsteadOfEdit()
		if detail == "" {
			detail = fmt.Sprintf("the order is %s, which does not allow a change of its lines", row.State)
		}
		httpx.Fail(c, forOrder(problem.Code(rule.Refusal), detail, row))
		return
	}

	out := wireOrder(row)
	preview := orderapi.EditPreview{
		Total:           in.Total,
		DifferenceMinor: in.Total.Minor - row.Total.Minor,
		InStock:         true,
		Products:        editedProducts(row, in),
	}
	if err := h.addShortage(c.Request.Context(), &preview); err != nil {
		h.log.WarnContext(c.Request.Context(), "no preview of a change of the lines", "order_id", row.OrderID, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory did not answer; try again"))
		return
	}
	out.EditPreview = preview
	c.JSON(http.StatusOK, out)
}

// editedProducts compares the lines of an order with its new lines, by product, in the order of the new lines. Products
// that go come last.
func editedProducts(row orderstore.Order, in *orderflow.OrderInput) []orderapi.EditPreviewProduct {
	var out []orderapi.EditPreviewProduct
	had := map[uuid.UUID]int64{}
	of := func(l orderflow.Line) *orderapi.EditPreviewProduct {
		i := slices.IndexFunc(out, func(p orderapi.EditPreviewProduct) bool { return p.ProductID == l.ProductID })
		if i < 0 {
			i = len(out)
			out = append(out, orderapi.EditPreviewProduct{ProductID: l.ProductID, SKU: l.SKU, Name: l.Name})
		}
		return &out[i]
	}
	for _, l := range in.Lines {
		p := of(l)
		p.Quantity += l.Quantity
		p.DifferenceMinor += l.Total.Minor
	}
	for _, l := range row.Lines {
		p := of(orderflow.Line(l))
		had[l.ProductID] += l.Quantity
		p.DifferenceMinor -= l.Total.Minor
	}
	for i := range out {
		p := &out[i]
		p.Taken = max(p.Quantity-had[p.ProductID], 0)
		p.Released = max(had[p.ProductID]-p.Quantity, 0)
	}
	return out
}

// addShortage adds which of the units to take are not available now. What the order has is its own, also if others wait
// for the product.
func (h *handlers) addShortage(ctx context.Context, preview *orderapi.EditPreview) error {
	var wanted []uuid.UUID
	for _, p := range preview.Products {
		if p.Taken > 0 {
			wanted = append(wanted, p.ProductID)
		}
	}
	available := map[uuid.UUID]int64{}
	for some := range slices.Chunk(wanted, maxAvailabilities) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		found, err := h.inventory.Availabilities(ctx, some)
		cancel()
		if err != nil {
			return err
		}
		for _, a := range found {
			available[a.ProductID] = a.AvailableQuantity
		}
	}
	for i := range preview.Products {
		p := &preview.Products[i]
		p.Short = max(p.Taken-max(available[p.ProductID], 0), 0)
		preview.InStock = preview.InStock && p.Short == 0
	}
	return nil
}

// maxAvailabilities is how many products one look-up of inventory takes.
const maxAvailabilities = 100
