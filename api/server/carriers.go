package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"holdfast/api/orderapi"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/internal/webhook"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// CarrierWebhookPath is where carriers, or a service that speaks for them, report on shipments. The route is public:
// the sender signs, by the Standard Webhooks specification.
const CarrierWebhookPath = "/webhooks/carriers"

// CarrierConfig says how the api reads the reports of carriers, from the environment.
type CarrierConfig struct {
	// Secrets are whsec_ and base64 each; several during a rotation. Empty: there is no such route.
	Secrets []string `env:"CARRIER_WEBHOOK_SECRETS"`
	// LostRemedy is what the customer gets for a lost shipment: orderflow.RemedyReship or RemedyRefund.
	LostRemedy orderflow.LossRemedy `env:"CARRIER_LOST_REMEDY" envDefault:"reship"`
}

// Validate reports a remedy that there is not.
func (c CarrierConfig) Validate() error {
	if c.LostRemedy != orderflow.RemedyReship && c.LostRemedy != orderflow.RemedyRefund {
		return fmt.Errorf("CARRIER_LOST_REMEDY is %q; use reship or refund", c.LostRemedy)
	}
	return nil
}

// carrierReport is the body of a carrier's webhook. Members that it does not have here are ignored.
type carrierReport struct {
	Carrier        string `json:"carrier"`
	TrackingNumber string `json:"tracking_number"`
	Status         string `json:"status"`
}

// The statuses of a carrier's report that change a shipment. The api ignores any other.
const (
	carrierDelivered = "delivered"
	carrierLost      = "lost"
)

// carrierWebhooks receives the reports of carriers.
type carrierWebhooks struct {
	*handlers
	keys   webhook.Keys
	remedy orderflow.LossRemedy
}

// receive answers 200 for a report that was carried out, or that can never be, so that the sender stops. It answers
// 404 for a shipment that the warehouse has not reported as shipped yet: the warehouse may report later than the
// carrier, and the carrier sends its report again.
func (h *carrierWebhooks) receive(c *gin.Context) {
	body, err := webhook.ReadBody(c.Request, webhook.MaxBody)
	var message webhook.Message
	if err == nil {
		message, err = h.keys.Verify(c.Request.Header, body)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	var report carrierReport
	if err := json.Unmarshal(body, &report); err != nil || report.Carrier == "" || report.TrackingNumber == "" {
		httpx.Fail(c, problem.Common.New(problem.InvalidInput,
			"the body is a JSON object with the texts carrier, tracking_number and status"))
		return
	}

	err = webhook.Once(c.Request.Context(), h.store, "carriers", message.ID, func(ctx context.Context) error {
		return h.process(ctx, message.ID, report)
	})
	switch {
	case err == nil, errors.Is(err, webhook.ErrReplayed):
		c.Status(http.StatusOK)
	case errors.Is(err, orderstore.ErrNotFound):
		httpx.Fail(c, orderapi.Table.New(orderapi.ShipmentNotFound,
			"no shipment of %s has left under this tracking number; send the report again later", report.Carrier))
	default:
		h.log.ErrorContext(c.Request.Context(), "a carrier's report was not processed", "webhook_id", message.ID,
			"carrier", report.Carrier, "tracking_number", report.TrackingNumber, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "the report was not processed; send it again"))
	}
}

// process brings a report to the order's workflow. A report can come twice and late: what it says may have been
// reported before, or may not fit any more.
func (h *carrierWebhooks) process(ctx context.Context, id string, report carrierReport) error {
	in := orderflow.ShipmentInput{Actor: "carrier:" + report.Carrier, CorrelationID: correlation.From(ctx)}
	update := orderflow.UpdateDeliver
	switch report.Status {
	case carrierDelivered:
	case carrierLost:
		update, in.Remedy = orderflow.UpdateLose, h.remedy
	default:
		return nil
	}
	order, number, err := h.store.FindShipment(ctx, report.Carrier, report.TrackingNumber)
	if err != nil {
		return err
	}
	row, err := h.store.Get(ctx, order)
	if err != nil {
		return err
	}
	in.Shipment = number
	err = h.sendToPaid(ctx, row, func(ctx context.Context) error {
		_, err := h.workflows.ReportShipment(ctx, order, update, id, in)
		return err
	})
	if orderclient.OutcomeUnknown(err) {
		return err
	}
	if err != nil && !errors.Is(err, orderclient.ErrUnderWay) {
		h.log.WarnContext(ctx, "a carrier's report does not fit its shipment", "webhook_id", id, "order_id", order,
			"shipment", number, "status", report.Status, "error", err)
	}
	return nil
}
