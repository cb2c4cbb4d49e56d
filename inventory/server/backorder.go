package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// PlaceBackorder answers 201 for a new backorder, and 200 if an earlier call with the same request placed it.
func (h handlers) PlaceBackorder(c *gin.Context) {
	var in inventoryapi.PlaceBackorderRequest
	if !decode(c, &in) {
		return
	}
	out, err := h.api.PlaceBackorder(c.Request.Context(), in)
	status := http.StatusCreated
	if out.Replayed {
		status = http.StatusOK
	}
	answer(c, status, out, err)
}

func (h handlers) GetBackorder(c *gin.Context, id uuid.UUID) {
	out, err := h.api.GetBackorder(c.Request.Context(), id)
	answer(c, http.StatusOK, out, err)
}

func (h handlers) CancelBackorder(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ReleaseRequest
	if decode(c, &in) {
		out, err := h.api.CancelBackorder(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ExpireBackorder(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ResolveRequest
	if decode(c, &in) {
		out, err := h.api.ExpireBackorder(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ExtendBackorder(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ExtendBackorderRequest
	if decode(c, &in) {
		out, err := h.api.ExtendBackorder(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ListWaiting(c *gin.Context, productID uuid.UUID, params inventoryapi.ListWaitingParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.WaitingList(c.Request.Context(), productID, page)
		answer(c, http.StatusOK, out, err)
	}
}
