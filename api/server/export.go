package server

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/api/orderapi"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
)

const (
	// exportPage is how many orders an export reads at once. Each page reads an index from where the page before ended.
	exportPage = 500
	// exportPatience is how long a client may take for a page before the export ends.
	exportPatience = 30 * time.Second
)

// ExportOrders writes all orders that match as a table, page by page, so that it needs little memory.
func (h *handlers) ExportOrders(c *gin.Context, params orderapi.ExportOrdersParams) {
	filter, err := orderFilter(params.CustomerID, params.Status, params.Since)
	if err == nil {
		filter.SKU = params.SKU
		filter.Amount, err = amountRange(params.Currency, params.AmountMin, params.AmountMax)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	after := orderstore.Position{CreatedAt: time.Now()}
	if !params.Until.IsZero() && params.Until.Before(after.CreatedAt) {
		after.CreatedAt = params.Until
	}
	rows, err := h.store.List(c.Request.Context(), filter, after, exportPage)
	if err != nil {
		h.fail(c, err)
		return
	}

	connection := http.NewResponseController(c.Writer)
	c.Header("Content-Type", mimeCSV+"; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="orders.csv"`)
	c.Status(http.StatusOK)
	if httpx.IsHead(c.Request) {
		return
	}
	table := csv.NewWriter(c.Writer)
	_ = table.Write([]string{ // an error comes again from Flush, and means that the client has left
		"number", "order_id", "status", "customer_id", "amount_minor", "currency", "units", "skus", "payment_attempts",
		"created_at", "updated_at",
	})
	for {
		for _, o := range rows {
			_ = table.Write(exported(o))
		}
		_ = connection.SetWriteDeadline(time.Now().Add(exportPatience)) // the error is that of a test's recorder
		if table.Flush(); table.Error() != nil || len(rows) < exportPage {
			return
		}
		last := rows[len(rows)-1]
		after = orderstore.Position{CreatedAt: last.CreatedAt, ID: last.OrderID}
		if rows, err = h.store.List(c.Request.Context(), filter, after, exportPage); err != nil {
			h.log.ErrorContext(c.Request.Context(), "an export of orders broke off", "error", err)
			panic(http.ErrAbortHandler) // the client must not take a part for the whole
		}
	}
}

// exported is an order's row of the table.
func exported(o orderstore.Order) []string {
	var units int64
	skus := make([]string, len(o.Lines))
	for i, l := range o.Lines {
		units += l.Quantity
		skus[i] = l.SKU
	}
	return []string{
		o.Number,
		o.OrderID.String(),
		string(wireOrder(o).Status),
		cell(o.CustomerID),
		strconv.FormatInt(o.Total.Minor, 10),
		o.Total.Currency,
		strconv.FormatInt(units, 10),
		strings.Join(skus, " "),
		strconv.Itoa(o.PaymentAttempts),
		o.CreatedAt.UTC().Format(time.RFC3339Nano),
		o.UpdatedAt.UTC().Format(time.RFC3339Nano),
	}
}
