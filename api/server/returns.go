package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/cursor"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// ReturnConfig is the shop's rule for returns, from the environment.
type ReturnConfig struct {
	// Window is how long after the last delivery a customer may ask for a return. Operators may always.
	Window time.Duration `env:"RETURN_WINDOW" envDefault:"720h"`
	// ReceiveWithin is how long an approved return may be on its way before it lapses.
	ReceiveWithin time.Duration `env:"RETURN_RECEIVE_WITHIN" envDefault:"336h"`
}

// Validate reports durations that allow no return.
func (c ReturnConfig) Validate() error {
	if c.Window <= 0 || c.ReceiveWithin <= 0 {
		return errors.New("RETURN_WINDOW and RETURN_RECEIVE_WITHIN must be positive durations, as in 720h")
	}
	return nil
}

// RequestReturn asks for a return. A return that an operator asks for is approved at once.
func (h *handlers) RequestReturn(c *gin.Context, id uuid.UUID, params orderapi.RequestReturnParams) {
	body, request, ok := hashed[orderapi.RequestReturn](c)
	if !ok {
		return
	}
	in := orderflow.ReturnInput{
		Lines:   lineQuantities(body.Lines),
		Reason:  orderflow.ReturnReason(body.Reason),
		Note:    body.Note,
		Key:     params.IdempotencyKey,
		Request: request,
	}
	if auth.From(c).Operates() {
		in.Approved, in.ReceiveBy = true, h.receiveBy()
	}
	h.returnStep(c, id, returnStep{orderflow.UpdateRequestReturn, params.IdempotencyKey, params.Preview}, in)
}

// RefundOrder gives a part of the price back, without a return.
func (h *handlers) RefundOrder(c *gin.Context, id uuid.UUID, params orderapi.RefundOrderParams) {
	body, request, ok := hashed[orderapi.RefundOrder](c)
	if !ok {
		return
	}
	in := orderflow.ReturnInput{Note: body.Note, Key: params.IdempotencyKey, Request: request}
	for _, l := range body.Lines {
		in.Refunds = append(in.Refunds, orderflow.LineRefund{LineNo: l.LineNo, Minor: l.RefundMinor})
	}
	h.returnStep(c, id, returnStep{orderflow.UpdateRefund, params.IdempotencyKey, params.Preview}, in)
}

// ApproveReturn lets the customer send the units.
func (h *handlers) ApproveReturn(c *gin.Context, id uuid.UUID, number orderapi.ReturnNumber) {
	in := orderflow.ReturnInput{Return: number, ReceiveBy: h.receiveBy()}
	h.returnStep(c, id, returnStep{update: orderflow.UpdateApproveReturn}, in)
}

// RejectReturn refuses a return.
func (h *handlers) RejectReturn(c *gin.Context, id uuid.UUID, number orderapi.ReturnNumber) {
	var body orderapi.RejectReturn
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	h.returnStep(c, id, returnStep{update: orderflow.UpdateRejectReturn},
		orderflow.ReturnInput{Return: number, Note: body.Reason})
}

// CancelReturn ends a return of which nothing has arrived.
func (h *handlers) CancelReturn(c *gin.Context, id uuid.UUID, number orderapi.ReturnNumber) {
	h.returnStep(c, id, returnStep{update: orderflow.UpdateCancelReturn}, orderflow.ReturnInput{Return: number})
}

// ReceiveReturn reports what has arrived of a return.
func (h *handlers) ReceiveReturn(
	c *gin.Context, id uuid.UUID, number orderapi.ReturnNumber, params orderapi.ReceiveReturnParams,
) {
	var body orderapi.ReceiveReturn
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	in := orderflow.ReturnInput{Return: number}
	for _, l := range body.Lines {
		in.Arrived = append(in.Arrived, orderflow.Arrival{
			LineNo: l.LineNo, Restocked: l.Restocked, Damaged: l.Damaged, RefundMinor: l.RefundMinor,
		})
	}
	h.returnStep(c, id, returnStep{update: orderflow.UpdateReceiveReturn, preview: params.Preview}, in)
}

// receiveBy returns when a return that is approved now lapses.
func (h *handlers) receiveBy() *time.Time {
	at := time.Now().Add(h.returns.ReceiveWithin).UTC().Truncate(time.Second)
	return &at
}

// returnStep is a step of a return that a client asks for.
type returnStep struct {
	update   string // the name of the workflow's update
	givenKey string
	preview  bool
}

// returnStep asks the order's workflow for a step of a return.
func (h *handlers) returnStep(c *gin.Context, id uuid.UUID, step returnStep, in orderflow.ReturnInput) {
	in.Actor, in.CorrelationID = auth.From(c).Subject, correlation.From(c.Request.Context())
	key, err := idempotencyKey(step.givenKey)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	if err := h.mayReturn(c, row, step); err != nil {
		httpx.Fail(c, err)
		return
	}
	if step.preview {
		h.previewReturn(c, row, orderflow.PreviewReturnInput{Update: step.update, Input: in})
		return
	}
	out, err := h.workflows.Return(c.Request.Context(), orderstore.InputOf(row), step.update, key, in)
	h.answerOrder(c, id, order.Return, sameRequest(in.Request, out, err), func(orderstore.Order) error { return nil })
}

// mayReturn returns why a return of the order is refused without asking its workflow, or nil.
func (h *handlers) mayReturn(c *gin.Context, row orderstore.Order, step returnStep) error {
	switch why := order.Decide(row.State, order.Return).Refusal; why {
	case "":
	case order.NotReady:
		return forOrder(problem.Code(why), "the stock is not decided yet; try again shortly", row)
	default:
		what := "only what was delivered can be returned"
		if step.update == orderflow.UpdateRefund {
			what = "only what was delivered can be refunded without a return; cancel what has not left"
		}
		return forOrder(problem.Code(why), what+"; the order is "+string(row.State), row)
	}
	if step.update != orderflow.UpdateRequestReturn || auth.From(c).Operates() {
		return nil
	}
	at, err := h.store.DeliveredAt(c.Request.Context(), row.OrderID)
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		return forOrder(orderapi.NotReturnable, "nothing of the order was delivered yet", row)
	case err != nil:
		return h.unavailable(c, err)
	case time.Since(at) > h.returns.Window:
		return forOrder(orderapi.ReturnWindowOver,
			"the time for returns ended on "+at.Add(h.returns.Window).UTC().Format(time.DateOnly)+"; ask the shop", row)
	}
	return nil
}

// previewReturn answers the order with what a step of a return would do.
func (h *handlers) previewReturn(c *gin.Context, row orderstore.Order, in orderflow.PreviewReturnInput) {
	preview, err := h.askForPreview(c.Request.Context(), row, in)
	switch {
	case err != nil:
		h.log.WarnContext(c.Request.Context(), "no preview of a return",
			"order_id", row.OrderID, "order_number", row.Number, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "the order's processing did not answer; try again"))
		return
	case preview.Refusal != "":
		httpx.Fail(c, forOrder(problem.Code(preview.Refusal), preview.Detail, row))
		return
	}
	out := wireOrder(row)
	out.ReturnPreview = orderapi.ReturnPreview{
		Refund:    money.Amount{Minor: preview.RefundMinor, Currency: row.Total.Currency},
		Restocked: []orderapi.LineQuantity{},
	}
	for _, l := range preview.Restocked {
		out.ReturnPreview.Restocked = append(out.ReturnPreview.Restocked, orderapi.LineQuantity(l))
	}
	c.JSON(http.StatusOK, out)
}

// askForPreview asks the order's workflow. If Temporal has deleted the workflow, or its last run does not know returns,
// askForPreview starts it again; it finds nothing to do and ends.
func (h *handlers) askForPreview(
	ctx context.Context, row orderstore.Order, in orderflow.PreviewReturnInput,
) (preview orderflow.ReturnPreview, err error) {
	preview, err = h.workflows.PreviewReturn(ctx, row.OrderID, in)
	if !row.State.Closed() || err == nil && preview.Refusal != string(order.NotReady) || orderclient.OutcomeUnknown(err) {
		return preview, err
	}
	if err := h.workflows.GoOn(ctx, orderstore.InputOf(row)); err != nil {
		return preview, err
	}
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		preview, err = h.workflows.PreviewReturn(ctx, row.OrderID, in)
		if err != nil || preview.Refusal != string(order.NotReady) || wait > time.Second {
			return preview, err
		}
		select {
		case <-time.After(wait): // the run reads the order's row
		case <-ctx.Done():
			return preview, ctx.Err()
		}
	}
}

// ListReturns answers the returns in some statuses.
func (h *handlers) ListReturns(c *gin.Context, params orderapi.ListReturnsParams) {
	statuses := []orderflow.ReturnStatus{orderflow.ReturnRequested, orderflow.ReturnApproved}
	if len(params.Status) > 0 {
		statuses = nil
		for _, s := range params.Status {
			statuses = append(statuses, orderflow.ReturnStatus(s))
		}
	}
	size := params.Limit
	if size == 0 {
		size = defaultPage
	}
	var after orderstore.ReturnPosition
	if params.Cursor != "" {
		k, err := cursor.Decode[pickPosition](returnList, params.Cursor)
		if err != nil || k.OrderID == uuid.Nil {
			httpx.Fail(c, problem.Invalid("cursor", "use the next_cursor of the same list's page before"))
			return
		}
		after = orderstore.ReturnPosition{RequestedAt: k.PlannedAt, OrderID: k.OrderID, Number: k.Number}
	}
	returns, err := h.store.ListReturns(c.Request.Context(), statuses, after, size+1)
	if err != nil {
		h.fail(c, err)
		return
	}

	returns, next := cursor.Cut(returnList, returns, size, func(r orderstore.ListedReturn) pickPosition {
		return pickPosition{r.RequestedAt, r.OrderID, r.Number}
	})
	out := orderapi.ReturnList{Items: make([]orderapi.ListedReturn, len(returns)), NextCursor: next}
	for i, r := range returns {
		out.Items[i] = orderapi.ListedReturn{
			OrderID:     r.OrderID,
			OrderNumber: r.OrderNumber,
			CustomerID:  r.CustomerID,
			Number:      r.Number,
			Status:      orderapi.ReturnStatus(r.Status),
			Reason:      orderapi.ReturnReason(r.Reason),
			Note:        r.Note,
			ReceiveBy:   orZero(r.ReceiveBy),
			RequestedAt: r.RequestedAt.UTC(),
		}
		for _, item := range r.Items {
			out.Items[i].Items = append(out.Items[i].Items, orderapi.PickItem{
				LineNo:    item.LineNo,
				ProductID: item.ProductID,
				SKU:       item.SKU,
				Name:      item.Name,
				Quantity:  item.Quantity,
			})
		}
	}
	c.JSON(http.StatusOK, out)
}

const returnList = "returns" // names the list in its cursors

func wireReturn(r orderstore.Return, currency string) orderapi.Return {
	out := orderapi.Return{
		Number:      r.Number,
		Status:      orderapi.ReturnStatus(r.Status),
		Reason:      orderapi.ReturnReason(r.Reason),
		Note:        r.Note,
		ReceiveBy:   orZero(r.ReceiveBy),
		Lines:       make([]orderapi.ReturnLine, len(r.Lines)),
		RequestedAt: r.RequestedAt.UTC(),
		UpdatedAt:   r.UpdatedAt.UTC(),
	}
	for i, l := range r.Lines {
		out.Lines[i] = orderapi.ReturnLine{
			LineNo: l.LineNo, Quantity: l.Quantity, Restocked: l.Restocked, Damaged: l.Damaged,
		}
		if r.Status == orderflow.ReturnReceived {
			out.Lines[i].Refund = money.Amount{Minor: l.RefundMinor, Currency: currency}
		}
	}
	return out
}
