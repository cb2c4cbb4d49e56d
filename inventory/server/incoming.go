package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

func (h handlers) ListIncoming(c *gin.Context, productID uuid.UUID, params inventoryapi.ListIncomingParams) {
	if page, ok := pageOf(c, params.Cursor, params.Limit); ok {
		out, err := h.api.ListIncoming(c.Request.Context(), productID, page)
		answer(c, http.StatusOK, out, err)
	}
}

// AddIncoming answers 201 for a new delivery, and 200 for a repeated request.
func (h handlers) AddIncoming(c *gin.Context, productID uuid.UUID, params inventoryapi.AddIncomingParams) {
	var in inventoryapi.AddIncomingRequest
	if !decode(c, &in) {
		return
	}
	o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey}
	out, err := h.api.AddIncoming(c.Request.Context(), productID, in, o)
	status := http.StatusCreated
	if out.Replayed {
		status = http.StatusOK
	}
	answer(c, status, out, err)
}

func (h handlers) GetIncoming(c *gin.Context, id uuid.UUID) {
	out, err := h.api.GetIncoming(c.Request.Context(), id)
	answer(c, http.StatusOK, out, err)
}

func (h handlers) ChangeIncoming(c *gin.Context, id uuid.UUID, params inventoryapi.ChangeIncomingParams) {
	var in inventoryapi.ChangeIncomingRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey}
		out, err := h.api.ChangeIncoming(c.Request.Context(), id, in, o)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) CancelIncoming(c *gin.Context, id uuid.UUID, params inventoryapi.CancelIncomingParams) {
	var in inventoryapi.CancelIncomingRequest
	if _, ok := decodeOptional(c, &in); ok { // the body has at most an actor and a version
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey}
		out, err := h.api.CancelIncoming(c.Request.Context(), id, in, o)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ReceiveIncoming(c *gin.Context, id uuid.UUID, params inventoryapi.ReceiveIncomingParams) {
	var in inventoryapi.ReceiveIncomingRequest
	if _, ok := decodeOptional(c, &in); ok { // without a quantity: all that has not arrived
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey}
		out, err := h.api.ReceiveIncoming(c.Request.Context(), id, in, o)
		answer(c, http.StatusOK, out, err)
	}
}
