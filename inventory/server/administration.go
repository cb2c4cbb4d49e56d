package server

import (
	"cmp"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
)

// tag sets the product's version as the entity tag of the answer; a version of 0 is unknown and sets none.
func tag(c *gin.Context, version int64) {
	if version > 0 {
		c.Header("ETag", inventoryapi.ETag(version))
	}
}

func (h handlers) ReceiveStock(c *gin.Context, productID uuid.UUID, params inventoryapi.ReceiveStockParams) {
	var in inventoryapi.ReceiveRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey, IfMatch: params.IfMatch}
		out, err := h.api.ReceiveStock(c.Request.Context(), productID, in, o)
		tag(c, out.Version)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) AdjustStock(c *gin.Context, productID uuid.UUID, params inventoryapi.AdjustStockParams) {
	var in inventoryapi.AdjustRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey, IfMatch: params.IfMatch}
		out, err := h.api.AdjustStock(c.Request.Context(), productID, in, o)
		tag(c, out.Version)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) TransferStock(c *gin.Context, productID uuid.UUID, params inventoryapi.TransferStockParams) {
	var in inventoryapi.TransferRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey, IfMatch: params.IfMatch}
		out, err := h.api.TransferStock(c.Request.Context(), productID, in, o)
		tag(c, out.Version)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) SetThreshold(c *gin.Context, productID uuid.UUID, params inventoryapi.SetThresholdParams) {
	var in inventoryapi.ThresholdRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey, IfMatch: params.IfMatch}
		out, err := h.api.SetThreshold(c.Request.Context(), productID, in, o)
		tag(c, out.Version)
		answer(c, http.StatusOK, out, err)
	}
}

// CreateItem answers 201 for a new item, and 200 for an item that exists and for a repeated request.
func (h handlers) CreateItem(
	c *gin.Context, productID uuid.UUID, location string, params inventoryapi.CreateItemParams,
) {
	var in inventoryapi.CreateItemRequest
	if _, ok := decodeOptional(c, &in); !ok { // the body has at most an actor and a version
		return
	}
	o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey, IfMatch: params.IfMatch}
	out, err := h.api.CreateItem(c.Request.Context(), productID, location, in, o)
	status := http.StatusOK
	if out.Created && !out.Replayed {
		status = http.StatusCreated
	}
	tag(c, out.Version)
	answer(c, status, out, err)
}

func (h handlers) DeleteItem(
	c *gin.Context, productID uuid.UUID, location string, params inventoryapi.DeleteItemParams,
) {
	var in inventoryapi.DeleteItemRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey, IfMatch: params.IfMatch}
		out, err := h.api.DeleteItem(c.Request.Context(), productID, location, in, o)
		tag(c, out.Version)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) SetSellable(c *gin.Context, productID uuid.UUID) {
	var in inventoryapi.SellableRequest
	if decode(c, &in) {
		out, err := h.api.SetSellable(c.Request.Context(), productID, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) Locations(c *gin.Context) {
	items, err := h.api.Locations(c.Request.Context())
	answer(c, http.StatusOK, inventoryapi.LocationList{Items: items}, err)
}

func (h handlers) PutLocation(c *gin.Context, code string, params inventoryapi.PutLocationParams) {
	var in inventoryapi.LocationRequest
	if decode(c, &in) {
		o := inventoryapi.WriteOptions{Actor: params.XActor, Key: params.IdempotencyKey}
		out, err := h.api.PutLocation(c.Request.Context(), code, in, o)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) DismissReorderProposal(
	c *gin.Context, id uuid.UUID, params inventoryapi.DismissReorderProposalParams,
) {
	var in inventoryapi.DismissRequest
	if decode(c, &in) {
		in.Actor = cmp.Or(params.XActor, in.Actor)
		out, err := h.api.DismissReorderProposal(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) ImportStock(c *gin.Context, params inventoryapi.ImportStockParams) {
	if t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || t != "text/csv" {
		httpx.Fail(c, problem.Common.New(problem.UnsupportedMedia, "send the file as text/csv").At("Content-Type"))
		return
	}
	out, err := h.api.ImportStock(c.Request.Context(), c.Request.Body, inventoryapi.ImportOptions{
		Actor: params.XActor, Key: params.IdempotencyKey, DryRun: params.DryRun,
	})
	answer(c, http.StatusOK, out, err)
}
