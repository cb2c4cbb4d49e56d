package server

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/cursor"
	"holdfast/internal/httpx"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// PackShipment reports that a shipment is packed.
func (h *handlers) PackShipment(c *gin.Context, id uuid.UUID, number orderapi.ShipmentNumber) {
	h.report(c, id, orderflow.UpdatePack, order.Pick, "", orderflow.ShipmentInput{Shipment: number})
}

// ShipShipment reports that a shipment leaves.
func (h *handlers) ShipShipment(c *gin.Context, id uuid.UUID, number orderapi.ShipmentNumber) {
	var body orderapi.ShipShipment
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	h.report(c, id, orderflow.UpdateShip, order.Pick, "", orderflow.ShipmentInput{
		Shipment:       number,
		Lines:          lineQuantities(body.Lines),
		Carrier:        body.Carrier,
		TrackingNumber: body.TrackingNumber,
	})
}

// hashed reads the body of a request, and its hash, by which the order's workflow tells requests with the same key
// apart. It answers a body that cannot be read, and reports false then.
func hashed[T any](c *gin.Context) (body T, request string, ok bool) {
	err := httpx.DecodeJSON(c, &body)
	if err == nil {
		request, err = orderflow.RequestHash(body)
	}
	if err != nil {
		httpx.Fail(c, err)
		return body, "", false
	}
	return body, request, true
}

// ShortPickShipment reports units that are missing or damaged.
func (h *handlers) ShortPickShipment(
	c *gin.Context, id uuid.UUID, number orderapi.ShipmentNumber, params orderapi.ShortPickShipmentParams,
) {
	body, request, ok := hashed[orderapi.ShortPick](c)
	if !ok {
		return
	}
	h.report(c, id, orderflow.UpdateShortPick, order.Pick, params.IdempotencyKey, orderflow.ShipmentInput{
		Shipment: number,
		Lines:    lineQuantities(body.Lines),
		Cause:    orderflow.ShortCause(body.Cause),
		Key:      params.IdempotencyKey,
		Request:  request,
	})
}

// DeliverShipment reports that a shipment was delivered.
func (h *handlers) DeliverShipment(c *gin.Context, id uuid.UUID, number orderapi.ShipmentNumber) {
	h.report(c, id, orderflow.UpdateDeliver, order.Carry, "", orderflow.ShipmentInput{Shipment: number})
}

// LoseShipment reports that a shipment is lost.
func (h *handlers) LoseShipment(c *gin.Context, id uuid.UUID, number orderapi.ShipmentNumber) {
	var body orderapi.LoseShipment
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	h.report(c, id, orderflow.UpdateLose, order.Carry, "", orderflow.ShipmentInput{
		Shipment: number, Remedy: orderflow.LossRemedy(body.Remedy),
	})
}

// HoldOrder stops the fulfilment of an order.
func (h *handlers) HoldOrder(c *gin.Context, id uuid.UUID) {
	var body orderapi.HoldOrder
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	in := orderflow.HoldInput{
		Hold:          orderflow.Hold{Reason: orderflow.HoldReason(body.Reason), Note: body.Note},
		Actor:         auth.From(c).Subject,
		CorrelationID: correlation.From(c.Request.Context()),
	}
	h.changePaid(c, id, order.Hold, "", func(ctx context.Context, key string) error {
		_, err := h.workflows.Hold(ctx, id, key, in)
		return err
	})
}

// UnholdOrder lets the fulfilment of an order go on.
func (h *handlers) UnholdOrder(c *gin.Context, id uuid.UUID) {
	in := orderflow.UnholdInput{
		Actor: auth.From(c).Subject, CorrelationID: correlation.From(c.Request.Context()),
	}
	h.changePaid(c, id, order.Unhold, "", func(ctx context.Context, key string) error {
		_, err := h.workflows.Unhold(ctx, id, key, in)
		return err
	})
}

// report sends a report about a shipment to the order's workflow.
func (h *handlers) report(
	c *gin.Context, id uuid.UUID, update string, input order.Input, givenKey string, in orderflow.ShipmentInput,
) {
	in.Actor, in.CorrelationID = auth.From(c).Subject, correlation.From(c.Request.Context())
	h.changePaid(c, id, input, givenKey, func(ctx context.Context, key string) error {
		out, err := h.workflows.ReportShipment(ctx, id, update, key, in)
		over := errors.Is(err, orderclient.ErrEnded) || orderclient.RefusalKind(err) == string(order.InvalidState)
		if over && h.wasReported(ctx, id, update, in) {
			return nil // the report has ended the order, and its answer was lost
		}
		return sameRequest(in.Request, out, err)
	})
}

// wasReported reports whether the row of an order has what a report says.
func (h *handlers) wasReported(ctx context.Context, id uuid.UUID, update string, in orderflow.ShipmentInput) bool {
	row, err := h.store.Get(ctx, id)
	if err != nil || in.Shipment > len(row.Shipments) {
		return false
	}
	is := map[string]orderflow.ShipmentStatus{
		orderflow.UpdateDeliver: orderflow.ShipmentDelivered,
		orderflow.UpdateLose:    orderflow.ShipmentLost,
	}[update]
	return row.Shipments[in.Shipment-1].Status == is
}

// sameRequest returns err, or a refusal if the outcome is that of another request under the same key.
func sameRequest(request string, out orderflow.FulfilmentResult, err error) error {
	if err == nil && out.Request != request {
		return &orderclient.RefusedError{
			Kind: orderflow.ErrKeyReused, Detail: "the Idempotency-Key was used for another request; take a new one",
		}
	}
	return err
}

// sendToPaid sends an update to the workflow of an order. If the order is paid and its workflow has ended, because a
// version without fulfilment carried it out, the workflow is started again, and goes on from the order's row.
func (h *handlers) sendToPaid(ctx context.Context, row orderstore.Order, send func(context.Context) error) error {
	err := send(ctx)
	if errors.Is(err, orderclient.ErrEnded) && row.State.CarriedOut() && !row.State.Closed() {
		if _, err = h.workflows.TakeUpOrder(ctx, orderstore.InputOf(row)); err == nil {
			err = send(ctx)
		}
	}
	return err
}

// changePaid asks the workflow of a paid order for a change, and answers the order after it.
func (h *handlers) changePaid(
	c *gin.Context, id uuid.UUID, input order.Input, givenKey string, send func(ctx context.Context, key string) error,
) {
	key, err := idempotencyKey(givenKey)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	if row.Waits() {
		httpx.Fail(c, forOrder(problem.Code(order.NotReady), "the stock is not decided yet; try again shortly", row))
		return
	}

	err = h.sendToPaid(c.Request.Context(), row, func(ctx context.Context) error { return send(ctx, key) })
	h.answerOrder(c, id, input, err, func(orderstore.Order) error { return nil })
}

// ListShipments answers the pick list of a location.
func (h *handlers) ListShipments(c *gin.Context, params orderapi.ListShipmentsParams) {
	statuses := []orderflow.ShipmentStatus{orderflow.ShipmentPlanned, orderflow.ShipmentPacked}
	if len(params.Status) > 0 {
		statuses = nil
		for _, s := range params.Status {
			statuses = append(statuses, orderflow.ShipmentStatus(s))
		}
	}
	after, size, err := pickPage(params)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	picks, err := h.store.ListShipments(c.Request.Context(), params.Location, statuses, after, size+1)
	if err != nil {
		h.fail(c, err)
		return
	}

	picks, next := cursor.Cut(pickList, picks, size, func(p orderstore.Pick) pickPosition {
		return pickPosition{p.PlannedAt, p.OrderID, p.Number}
	})
	if c.NegotiateFormat(gin.MIMEJSON, mimeCSV) == mimeCSV {
		answerPickTable(c, picks, next)
		return
	}
	out := orderapi.PickList{Items: make([]orderapi.Pick, len(picks)), NextCursor: next}
	for i, p := range picks {
		out.Items[i] = wirePick(p)
	}
	c.JSON(http.StatusOK, out)
}

const (
	pickList = "shipments" // names the list in its cursors
	mimeCSV  = "text/csv"
)

// pickPosition is the last shipment of a page, as cursors carry it.
type pickPosition struct {
	PlannedAt time.Time `json:"c"`
	OrderID   uuid.UUID `json:"i"`
	Number    int       `json:"n"`
}

func pickPage(params orderapi.ListShipmentsParams) (after orderstore.PickPosition, size int, err error) {
	size = params.Limit
	if size == 0 {
		size = defaultPage
	}
	if params.Cursor == "" {
		return after, size, nil // a position before every row
	}
	k, err := cursor.Decode[pickPosition](pickList, params.Cursor)
	if err != nil || k.OrderID == uuid.Nil {
		return after, 0, problem.Invalid("cursor", "use the next_cursor of the same list's page before")
	}
	return orderstore.PickPosition(k), size, nil
}

// answerPickTable answers a pick list as a table, with one row for each product of a shipment.
func answerPickTable(c *gin.Context, picks []orderstore.Pick, next string) {
	if next != "" {
		query := c.Request.URL.Query()
		query.Set("cursor", next)
		page := url.URL{Path: c.Request.URL.Path, RawQuery: query.Encode()}
		c.Header("Link", fmt.Sprintf(`<%s>; rel="next"`, page.String()))
	}
	c.Header("Content-Type", mimeCSV+"; charset=utf-8")
	c.Status(http.StatusOK)
	table := csv.NewWriter(c.Writer)
	_ = table.Write([]string{ // an error comes again from Flush, and means that the client has left
		"order_id", "order_number", "shipment", "location", "status", "held", "sku", "name", "quantity", "recipient",
		"planned_at", "promised_date",
	})
	for _, p := range picks {
		recipient, promised := "", ""
		if p.ShipTo != nil {
			recipient = p.ShipTo.Name
		}
		if !p.PromisedOn.IsZero() {
			promised = p.PromisedOn.Format(time.DateOnly)
		}
		for _, item := range p.Items {
			_ = table.Write([]string{
				p.OrderID.String(),
				p.OrderNumber,
				strconv.Itoa(p.Number),
				p.Location,
				string(p.Status),
				strconv.FormatBool(p.Held),
				item.SKU,
				cell(item.Name),
				strconv.FormatInt(item.Quantity, 10),
				cell(recipient),
				p.PlannedAt.UTC().Format(time.RFC3339),
				promised,
			})
		}
	}
	table.Flush()
}

// cell protects a text of a person from being read as a formula by a spreadsheet.
func cell(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@') {
		return "'" + text
	}
	return text
}

func wirePick(p orderstore.Pick) orderapi.Pick {
	out := orderapi.Pick{
		OrderID:        p.OrderID,
		OrderNumber:    p.OrderNumber,
		Number:         p.Number,
		Location:       p.Location,
		Status:         orderapi.ShipmentStatus(p.Status),
		Held:           p.Held,
		Carrier:        p.Carrier,
		TrackingNumber: p.TrackingNumber,
		Items:          make([]orderapi.PickItem, len(p.Items)),
		PromisedDate:   openapi_types.Date{Time: p.PromisedOn},
		PlannedAt:      p.PlannedAt.UTC(),
	}
	if p.ShipTo != nil {
		out.ShipTo = *p.ShipTo
	}
	for i, item := range p.Items {
		out.Items[i] = orderapi.PickItem{
			LineNo:    item.LineNo,
			ProductID: item.ProductID,
			SKU:       item.SKU,
			Name:      item.Name,
			Quantity:  item.Quantity,
		}
	}
	return out
}

func wireShipment(s orderstore.Shipment) orderapi.Shipment {
	out := orderapi.Shipment{
		Number:         s.Number,
		Location:       s.Location,
		Status:         orderapi.ShipmentStatus(s.Status),
		Carrier:        s.Carrier,
		TrackingNumber: s.TrackingNumber,
		Lines:          make([]orderapi.ShipmentLine, len(s.Lines)),
		PromisedDate:   openapi_types.Date{Time: s.PromisedOn},
		PlannedAt:      s.PlannedAt.UTC(),
		UpdatedAt:      s.UpdatedAt.UTC(),
	}
	for i, l := range s.Lines {
		out.Lines[i] = orderapi.ShipmentLine{
			LineNo: l.LineNo, Quantity: l.Quantity, Cancelled: l.Cancelled, Short: l.Short,
		}
	}
	return out
}

func lineQuantities(lines []orderapi.LineQuantity) []orderflow.LineQuantity {
	var out []orderflow.LineQuantity
	for _, l := range lines {
		out = append(out, orderflow.LineQuantity{LineNo: l.LineNo, Quantity: l.Quantity})
	}
	return out
}
