// Package server is the HTTP side of the inventory service: routes generated from openapi.yaml, and handlers that
// decode strictly, call the service and write its typed errors as problems.
package server

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
)

// Service is the whole contract.
type Service interface {
	inventoryapi.API
	inventoryapi.Queries
	inventoryapi.Administration
	inventoryapi.Backorders
	inventoryapi.IncomingStock
}

// Register adds the routes of the contract, an OpenAPI document, to router. They need a caller that guard admits, and
// take only that caller for the actor of a request.
//
// Bodies are decoded as strictly as the orders interface's, but not held to the contract's schemas: the service checks
// every value itself, for its callers in Go too, and answers with finer codes (invalid_quantity, negative_quantity)
// than a schema can. A second check would change those codes, and costs a reserve as much as its decoding.
func Register(router gin.IRouter, api Service, guard *auth.Guard, spec []byte) error {
	contract, err := httpx.ReadContract(spec)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	group := router.Group("", guard.Require, verifyActorHeader, contract.Parameters)
	RegisterHandlersWithOptions(group, handlers{api}, GinServerOptions{ErrorHandler: failParameter})
	return nil
}

// verifyActorHeader refuses an X-Actor for whom the caller does not act.
func verifyActorHeader(c *gin.Context) {
	if err := auth.CheckActor(c, c.GetHeader(actorHeader)); err != nil {
		httpx.Fail(c, err)
	}
}

// parameter finds the parameter's name in the message of the generated code, which passes the name in no other way.
var parameter = regexp.MustCompile(`(?:parameter|value for) ([\w-]+)`)

func failParameter(c *gin.Context, err error, _ int) {
	field := ""
	if m := parameter.FindStringSubmatch(err.Error()); m != nil {
		field = m[1]
	}
	httpx.Fail(c, problem.Invalid(field, "%s is missing or malformed; see the contract for its format", field))
}

type handlers struct{ api Service }

var _ ServerInterface = handlers{}

// Reserve answers 201 for a new reservation, and 200 if an earlier call with the same request made it.
func (h handlers) Reserve(c *gin.Context) {
	var in inventoryapi.ReserveRequest
	if !decode(c, &in) {
		return
	}
	out, err := h.api.Reserve(c.Request.Context(), in)
	status := http.StatusCreated
	if out.Replayed {
		status = http.StatusOK
	}
	answer(c, status, out, err)
}

func (h handlers) GetReservation(c *gin.Context, id uuid.UUID) {
	out, err := h.api.GetReservation(c.Request.Context(), id)
	answer(c, http.StatusOK, out, err)
}

func (h handlers) Confirm(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ResolveRequest
	if decode(c, &in) {
		out, err := h.api.Confirm(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) Release(c *gin.Context, id uuid.UUID) {
	// Clients often send a DELETE without a body. It then means the one release of this reservation.
	var in inventoryapi.ReleaseRequest
	given, ok := decodeOptional(c, &in)
	if !ok {
		return
	}
	if !given {
		in = inventoryapi.ReleaseRequest{OperationID: uuid.NewSHA1(id, []byte("release")), Actor: "service"}
	}
	out, err := h.api.Release(c.Request.Context(), id, in)
	answer(c, http.StatusOK, out, err)
}

func (h handlers) Expire(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ResolveRequest
	if decode(c, &in) {
		out, err := h.api.Expire(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) Extend(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ExtendRequest
	if decode(c, &in) {
		out, err := h.api.Extend(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) Return(c *gin.Context, id uuid.UUID) {
	var in inventoryapi.ReturnRequest
	if decode(c, &in) {
		out, err := h.api.Return(c.Request.Context(), id, in)
		answer(c, http.StatusOK, out, err)
	}
}

func (h handlers) GetAvailability(c *gin.Context, productID uuid.UUID, params inventoryapi.GetAvailabilityParams) {
	quantity := int64(1)
	if params.Quantity != nil {
		quantity = *params.Quantity
	}
	out, err := h.api.Availability(c.Request.Context(), productID, quantity)
	if err == nil && out.OverdueQuantity > 0 {
		c.Request.Header.Del("If-None-Match") // more is available than at the version that the client has
	}
	if err == nil && httpx.NotModified(c, out.Version) {
		return
	}
	answer(c, http.StatusOK, out, err)
}

func answer(c *gin.Context, status int, out any, err error) {
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	c.JSON(status, out)
}
