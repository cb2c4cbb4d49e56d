package server

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/cursor"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
)

// GetOrder answers an order as the orders database has it.
func (h *handlers) GetOrder(c *gin.Context, id uuid.UUID) {
	if row, ok := h.owned(c, id); ok {
		c.JSON(http.StatusOK, h.wireWithPosition(c, row))
	}
}

// ListOrders answers one page of orders: a customer's own, or all orders for operators.
func (h *handlers) ListOrders(c *gin.Context, params orderapi.ListOrdersParams) {
	if params.Number != "" {
		h.findByNumber(c, params)
		return
	}
	if params.CorrelationID != "" {
		h.findByRequest(c, params)
		return
	}
	who := auth.From(c)
	filter, err := orderFilter(params.CustomerID, params.Status, params.Since)
	if err == nil {
		filter.SKU = params.SKU
		filter.Amount, err = amountRange(params.Currency, params.AmountMin, params.AmountMax)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	if who.Role == auth.Shop {
		if params.CustomerID == "" {
			httpx.Fail(c, problem.Invalid("customer_id", "a shop lists the orders of the customer that it names"))
			return
		}
		filter.Issuer = who.Issuer
	}
	if who.Role == auth.Customer {
		if params.CustomerID != "" && params.CustomerID != who.Subject {
			httpx.Fail(c, problem.Common.New(problem.Forbidden, "you see your own orders only").At("customer_id"))
			return
		}
		filter.CustomerID, filter.Issuer = who.Subject, who.Issuer
	}

	after, limit, err := page("orders", params.Cursor, params.Limit)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	if !params.Until.IsZero() && params.Until.Before(after.CreatedAt) {
		after = orderstore.Position{CreatedAt: params.Until} // all ids are after the zero id, so none of this time
	}
	rows, err := h.store.List(c.Request.Context(), filter, after, limit+1)
	if err != nil {
		h.fail(c, err)
		return
	}

	rows, next := cursor.Cut("orders", rows, limit, func(o orderstore.Order) position {
		return position{o.CreatedAt, o.OrderID}
	})
	out := orderapi.OrderList{Items: make([]orderapi.Order, len(rows)), NextCursor: next}
	for i, r := range rows {
		out.Items[i] = wireOrder(r)
	}
	c.JSON(http.StatusOK, out)
}

// orderFilter reads the filters of a list of orders.
func orderFilter(
	customer string, states []orderapi.OrderStatus, since time.Time,
) (filter orderstore.Filter, err error) {
	filter = orderstore.Filter{CustomerID: customer, Since: since}
	for _, s := range states {
		if !slices.Contains(filter.States, order.State(s)) {
			filter.States = append(filter.States, order.State(s))
		}
	}
	if !utf8.ValidString(customer) || strings.ContainsRune(customer, 0) {
		return filter, problem.Invalid("customer_id", "use UTF-8 without the character U+0000")
	}
	return filter, nil
}

// filtered reports whether a request for a list has filters or a cursor, besides a number or a correlation id.
func filtered(p orderapi.ListOrdersParams) bool {
	return len(p.Status) > 0 || p.CustomerID != "" || p.SKU != "" || p.Currency != "" || p.AmountMin != nil ||
		p.AmountMax != nil || !p.Since.IsZero() || !p.Until.IsZero() || p.Cursor != ""
}

// findByRequest answers the orders on which a request acted, of those that the caller may see.
func (h *handlers) findByRequest(c *gin.Context, params orderapi.ListOrdersParams) {
	if filtered(params) {
		httpx.Fail(c, problem.Invalid("correlation_id",
			"a correlation id names one request; leave the other filters and the cursor out"))
		return
	}
	_, limit, err := page("orders", "", params.Limit)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	who, filter := auth.From(c), orderstore.Filter{}
	switch {
	case who.Role == auth.Customer:
		filter.CustomerID, filter.Issuer = who.Subject, who.Issuer
	case !who.Operates():
		filter.Issuer = who.Issuer
	}
	rows, err := h.store.OfRequest(ctx, params.CorrelationID, filter, limit)
	if err != nil {
		h.fail(c, err)
		return
	}
	out := orderapi.OrderList{Items: []orderapi.Order{}}
	for _, row := range rows {
		if who.ActsFor(row.Issuer, row.CustomerID) {
			out.Items = append(out.Items, wireOrder(row))
		}
	}
	c.JSON(http.StatusOK, out)
}

// amountRange reads the filter of orders by their total; nil means any.
func amountRange(currency string, from, to *int64) (*orderstore.AmountRange, error) {
	switch {
	case currency == "" && (from != nil || to != nil):
		return nil, problem.Invalid("currency", "name the currency of the amounts")
	case currency == "":
		return nil, nil
	}
	out := &orderstore.AmountRange{Currency: currency, Max: math.MaxInt64}
	if from != nil {
		out.Min = *from
	}
	if to != nil {
		out.Max = *to
	}
	if out.Min > out.Max {
		return nil, problem.Invalid("amount_min", "amount_min is %d and amount_max is %d; the first must not be larger",
			out.Min, out.Max)
	}
	return out, nil
}

// findByNumber answers the order with a number as a list, which is empty if there is none that the caller may see.
func (h *handlers) findByNumber(c *gin.Context, params orderapi.ListOrdersParams) {
	number, ok := order.ParseNumber(params.Number)
	if !ok {
		httpx.Fail(c, problem.Invalid("number", "use the number of an order, as in HF-104233"))
		return
	}
	if filtered(params) || params.CorrelationID != "" {
		httpx.Fail(c, problem.Invalid("number", "a number names one order; leave the other filters and the cursor out"))
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	row, err := h.store.ByNumber(ctx, number)
	out := orderapi.OrderList{Items: []orderapi.Order{}}
	switch {
	case err != nil && !errors.Is(err, orderstore.ErrNotFound):
		h.fail(c, err)
		return
	case err == nil && auth.From(c).ActsFor(row.Issuer, row.CustomerID):
		out.Items = append(out.Items, wireOrder(row))
	}
	c.JSON(http.StatusOK, out)
}

// GetTimeline answers the timeline of an order.
func (h *handlers) GetTimeline(c *gin.Context, id uuid.UUID) {
	if _, ok := h.owned(c, id); !ok {
		return
	}
	entries, err := h.store.Timeline(c.Request.Context(), id)
	if err != nil {
		h.fail(c, err)
		return
	}
	out := orderapi.Timeline{Items: make([]orderapi.TimelineEntry, len(entries))}
	for i, e := range entries {
		out.Items[i] = wireEntry(e)
	}
	c.JSON(http.StatusOK, out)
}

func wireEntry(e orderstore.TimelineEntry) orderapi.TimelineEntry {
	return orderapi.TimelineEntry{
		Seq:          e.Seq,
		Event:        string(e.Event),
		FromStatus:   string(e.From),
		Status:       orderapi.OrderStatus(e.State),
		At:           e.At.UTC(),
		Actor:        e.Actor,
		Reason:       e.Reason,
		Attempt:      e.Attempt,
		NextDeadline: orZero(e.NextDeadline),
	}
}

// owned returns an order that the caller may see, or answers 404. A caller must not learn whether an order of another
// customer exists.
func (h *handlers) owned(c *gin.Context, id uuid.UUID) (orderstore.Order, bool) {
	row, err := h.row(c, id)
	if err != nil && !errors.Is(err, orderstore.ErrNotFound) {
		h.fail(c, err)
		return row, false
	}
	if err != nil || !auth.From(c).ActsFor(row.Issuer, row.CustomerID) {
		httpx.Fail(c, orderapi.Table.New(orderapi.OrderNotFound, "there is no order %s", id).At("order_id"))
		return row, false
	}
	return row, true
}

// ListProducts answers one page of the catalogue. Operators may also ask for inactive products.
func (h *handlers) ListProducts(c *gin.Context, params orderapi.ListProductsParams) {
	list := "products"
	actives := map[orderapi.ListProductsParamsActive][]bool{
		orderapi.ActiveFalse: {false},
		orderapi.ActiveAny:   {false, true},
	}[params.Active]
	if actives != nil {
		if !auth.From(c).Operates() {
			httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators see inactive products").At("active"))
			return
		}
		list += ":" + string(params.Active)
	}
	after, limit, err := page(list, params.Cursor, params.Limit)
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	var products []orderstore.Product
	if actives == nil {
		products, err = h.store.ListProducts(c.Request.Context(), after.CreatedAt, after.ID, limit+1)
	} else {
		products, err = h.store.ListAllProducts(c.Request.Context(), actives, after.CreatedAt, after.ID, limit+1)
	}
	if err != nil {
		h.fail(c, err)
		return
	}

	products, next := cursor.Cut(list, products, limit, func(p orderstore.Product) position {
		return position{p.CreatedAt, p.ProductID}
	})
	out := orderapi.ProductList{Items: make([]orderapi.Product, len(products)), NextCursor: next}
	for i, p := range products {
		out.Items[i] = wireProduct(p)
	}
	c.JSON(http.StatusOK, out)
}

// GetProduct answers one product of the catalogue, and to operators also an inactive one.
func (h *handlers) GetProduct(c *gin.Context, id uuid.UUID) {
	get := h.store.GetProduct
	if auth.From(c).Operates() {
		get = h.store.FindProduct
	}
	p, err := get(c.Request.Context(), id)
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		httpx.Fail(c, orderapi.Table.New(orderapi.ProductNotFound, "there is no product %s", id).At("product_id"))
	case err != nil:
		h.fail(c, err)
	case httpx.NotModified(c, p.Version):
	default:
		answerProduct(c, http.StatusOK, p)
	}
}

// row reads an order within readTimeout, so that the caller gets an answer also when the database hangs.
func (h *handlers) row(c *gin.Context, id uuid.UUID) (orderstore.Order, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	return h.store.Get(ctx, id)
}

// fail answers that the orders database did not do what the handler asked; the cause goes to the log.
func (h *handlers) fail(c *gin.Context, err error) { httpx.Fail(c, h.unavailable(c, err)) }

func (h *handlers) unavailable(c *gin.Context, err error) error {
	switch {
	case errors.Is(c.Request.Context().Err(), context.Canceled):
		return err // the client has left; the database is not at fault
	case errors.Is(err, orderstore.ErrUnreadable):
		return err // an internal fault; a retry does not mend it: 500
	case database.IsBusy(err):
		h.log.WarnContext(c.Request.Context(), "the orders database is busy with other changes of the same rows",
			"error", err)
		return orderapi.Table.New(problem.Unavailable, "other requests, perhaps an import, are changing the same rows; "+
			"nothing was changed; send the same request again")
	}

	h.log.ErrorContext(c.Request.Context(), "the orders database did not answer", "error", err)
	return orderapi.Table.New(problem.Unavailable, "the orders database did not answer; send the same request again")
}

// wireWithPosition is wireOrder, with the order's place in the line if it waits for its workflow, or on the waiting
// list if it waits for stock.
func (h *handlers) wireWithPosition(c *gin.Context, o orderstore.Order) orderapi.Order {
	out := wireOrder(o)
	if !o.Waits() && o.State != order.Backordered {
		return out
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	var err error
	if o.State == order.Backordered {
		var waiting inventoryapi.Backorder
		if waiting, err = h.inventory.GetBackorder(ctx, out.ReservationID); err != nil {
			h.log.WarnContext(ctx, "cannot tell an order's place on the waiting list",
				"order_id", o.OrderID, "order_number", o.Number, "error", err)
			return out
		}
		out.Backorder.Position, out.Backorder.PromisedAt = int(waiting.Position), waiting.PromisedAt
		return out
	}
	if out.PositionInLine, err = h.store.PositionInLine(ctx, o.OrderID); err != nil {
		h.log.WarnContext(ctx, "cannot tell the place of an order in the line",
			"order_id", o.OrderID, "order_number", o.Number, "error", err)
	}
	return out
}

func wireOrder(o orderstore.Order) orderapi.Order {
	out := orderapi.Order{
		OrderID:         o.OrderID,
		Number:          o.Number,
		CustomerID:      o.CustomerID,
		Status:          orderapi.OrderStatus(o.State),
		Reason:          o.Reason,
		Total:           o.Total,
		Shipping:        o.Shipping,
		Lines:           make([]orderapi.OrderLine, len(o.Lines)),
		Payments:        make([]orderapi.Payment, len(o.Payments)),
		PaymentAttempts: o.PaymentAttempts,
		Email:           o.Email,
		Metadata:        o.Metadata,
		CreatedAt:       o.CreatedAt.UTC(),
		UpdatedAt:       o.UpdatedAt.UTC(),
	}
	switch {
	case o.Overdue(time.Now()):
		out.Status, out.Reason = orderapi.OrderStatus(order.Expired), "not paid before the deadline"
	case o.State.Holding():
		out.ExpiresAt = orZero(o.ExpiresAt)
	}
	if o.State == order.Backordered {
		out.Backorder.WaitUntil = orZero(o.ExpiresAt)
	}
	if o.ReservationID != nil {
		out.ReservationID = *o.ReservationID
	}
	if o.ShipTo != nil {
		out.ShipTo = *o.ShipTo
	}
	for _, s := range o.Shipments {
		out.Shipments = append(out.Shipments, wireShipment(s))
	}
	out.PromisedDate.Time = o.PromisedOn()
	for _, r := range o.Returns {
		out.Returns = append(out.Returns, wireReturn(r, o.Total.Currency))
	}
	if o.Review != nil {
		out.Review = o.Review.Reasons
	}
	if o.ActionURL != "" {
		out.PaymentAction = orderapi.PaymentAction{URL: o.ActionURL}
	}
	if o.Hold != nil {
		out.Hold = orderapi.Hold{Reason: orderapi.HoldReason(o.Hold.Reason)}
	}
	for i, l := range o.Lines {
		out.Lines[i] = orderapi.OrderLine{
			LineNo:    l.LineNo,
			ProductID: l.ProductID,
			SKU:       l.SKU,
			Name:      l.Name,
			Quantity:  l.Quantity,
			UnitPrice: l.UnitPrice,
			Discount:  l.Discount,
			Tax:       l.Tax,
			Total:     l.Total,
		}
	}
	for i, p := range o.Payments {
		out.Payments[i] = orderapi.Payment{
			Step:        orderapi.PaymentStep(p.Step),
			Attempt:     p.Attempt,
			State:       orderapi.PaymentState(p.State),
			Amount:      p.Amount,
			Provider:    p.Provider,
			ProviderRef: p.ProviderRef,
			Reason:      p.Reason,
			At:          p.At.UTC(),
		}
	}
	return out
}

func wireProduct(p orderstore.Product) orderapi.Product {
	prices := p.Prices
	if prices == nil {
		prices = []money.Amount{} // a list in JSON too
	}
	return orderapi.Product{
		ProductID:   p.ProductID,
		SKU:         p.SKU,
		Name:        p.Name,
		Description: p.Description,
		Category:    p.Category,
		Prices:      prices,
		Active:      p.Active,
		SoldOut:     p.SoldOut,
		Version:     p.Version,
	}
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
