package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
)

// ListAvailability answers with the named products. If the request names none, it answers with a page of all products.
func (h handlers) ListAvailability(c *gin.Context, params inventoryapi.ListAvailabilityParams) {
	query := c.Request.URL.Query()
	if !query.Has("product_ids") {
		if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
			out, err := h.api.List(c.Request.Context(), page)
			answer(c, http.StatusOK, out, err)
		}
		return
	}
	for _, name := range []string{"cursor", "limit"} {
		if query.Get(name) != "" {
			httpx.Fail(c, problem.Invalid(name,
				"%s applies only to the list of all products; leave it out when you send product_ids", name))
			return
		}
	}
	items, err := h.api.Availabilities(c.Request.Context(), params.ProductIds)
	answer(c, http.StatusOK, inventoryapi.AvailabilityList{Items: items}, err)
}

func (h handlers) GetStatistics(c *gin.Context) {
	out, err := h.api.Statistics(c.Request.Context())
	answer(c, http.StatusOK, out, err)
}

func (h handlers) ListMostReserved(c *gin.Context, params inventoryapi.ListMostReservedParams) {
	if limit, ok := limitOf(c, params.Limit); ok {
		out, err := h.api.MostReserved(c.Request.Context(), limit)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListLowStock(c *gin.Context, params inventoryapi.ListLowStockParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		filter := inventoryapi.LowStockFilter{Location: params.Location, Threshold: params.Threshold}
		out, err := h.api.LowStock(c.Request.Context(), filter, page)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListHolds(c *gin.Context, productID uuid.UUID, params inventoryapi.ListHoldsParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.Holds(c.Request.Context(), productID, page)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListReservations(c *gin.Context, params inventoryapi.ListReservationsParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.Reservations(c.Request.Context(), inventoryapi.ReservationFilter{
			Statuses:      params.Status,
			OrderID:       params.OrderID,
			ExpiresAfter:  params.ExpiresAfter,
			ExpiresBefore: params.ExpiresBefore,
		}, page)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListOverdue(c *gin.Context, params inventoryapi.ListOverdueParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.Overdue(c.Request.Context(), page)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListLedger(c *gin.Context, productID uuid.UUID, params inventoryapi.ListLedgerParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.Ledger(c.Request.Context(), productID, params.Location, page)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListReorderProposals(c *gin.Context, params inventoryapi.ListReorderProposalsParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.ReorderProposals(c.Request.Context(), params.Status, page)
		answer(c, http.StatusOK, out, err)
	}
}

func pageOf(c *gin.Context, cursor string, limit *int) (inventoryapi.Page, bool) {
	n, ok := limitOf(c, limit)
	return inventoryapi.Page{Cursor: cursor, Limit: n}, ok
}

// limitOf refuses a limit of 0: in Go it stands for the default, but a client that sends it means something else.
func limitOf(c *gin.Context, limit *int) (int, bool) {
	switch {
	case limit == nil:
		return 0, true
	case *limit == 0:
		httpx.Fail(c, problem.Invalid("limit", "a page has at least one row"))
		return 0, false
	}
	return *limit, true
}
