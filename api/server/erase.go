package server

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
)

// EraseCustomer erases a customer's personal data from the orders database.
func (h *handlers) EraseCustomer(c *gin.Context, customerID string) {
	var body orderapi.EraseCustomer
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	who := auth.From(c)
	asked := orderstore.Erasure{
		Issuer:     cmp.Or(body.Issuer, who.Issuer),
		CustomerID: customerID,
		Actor:      who.Subject,
		Reason:     body.Reason,
	}

	erased, err := h.store.Erase(c.Request.Context(), asked)
	var open *orderstore.OpenOrdersError
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		httpx.Fail(c, orderapi.Table.New(orderapi.CustomerNotFound,
			"no customer of the issuer %q with this id has an order", asked.Issuer).At("customer_id"))
	case errors.As(err, &open):
		p := orderapi.Table.New(orderapi.OrdersOpen, "%s; let them end, or cancel them, and send the request again", open)
		p.OrderID = open.Orders[0].String()
		httpx.Fail(c, p)
	case err != nil:
		h.fail(c, err)
	default:
		h.log.InfoContext(c.Request.Context(), "a customer's data was erased",
			"erasure_id", erased.ID, "actor", asked.Actor, "orders", erased.Orders)
		c.JSON(http.StatusOK, orderapi.CustomerErasure{
			ErasureID:    erased.ID,
			CustomerID:   customerID,
			Issuer:       asked.Issuer,
			OrdersErased: erased.Orders,
			ErasedAt:     erased.At,
		})
	}
}
