package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/etag"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

// CreateProduct puts a product into the catalogue.
func (h *handlers) CreateProduct(c *gin.Context) {
	fields, err := h.productInput(c)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	p, err := h.store.CreateProduct(ctx, uuid.New(), fields, time.Now().UTC())
	if err != nil {
		h.failProduct(c, uuid.Nil, err)
		return
	}
	h.changedProduct(c, "created", p)
	c.Header("Location", "/api/products/"+p.ProductID.String())
	answerProduct(c, http.StatusCreated, p)
}

// ReplaceProduct replaces a product if it is still as the caller read it.
func (h *handlers) ReplaceProduct(c *gin.Context, id uuid.UUID, params orderapi.ReplaceProductParams) {
	if params.IfMatch == "" && auth.From(c).Operates() {
		httpx.Fail(c, orderapi.Table.New(orderapi.PreconditionRequired,
			"send the ETag of the product that you read as If-Match, or * to overwrite any version").At("If-Match"))
		return
	}
	fields, err := h.productInput(c)
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	version, err := h.expected(ctx, id, params.IfMatch)
	var p orderstore.Product
	changed := false
	if err == nil {
		p, changed, err = h.store.ReplaceProduct(ctx, id, version, fields, time.Now().UTC())
	}
	if err != nil {
		h.failProduct(c, id, err)
		return
	}
	if changed {
		h.changedProduct(c, "replaced", p)
	}
	answerProduct(c, http.StatusOK, p)
}

// DeactivateProduct takes a product out of the catalogue. Orders do not change: they have a copy of the product.
func (h *handlers) DeactivateProduct(c *gin.Context, id uuid.UUID, params orderapi.DeactivateProductParams) {
	if !auth.From(c).Operates() {
		httpx.Fail(c, errNotOperator())
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	version, err := h.expected(ctx, id, params.IfMatch)
	if err == nil {
		err = h.store.DeactivateProduct(ctx, id, version, time.Now().UTC())
	}
	if err != nil {
		h.failProduct(c, id, err)
		return
	}
	p, err := h.store.FindProduct(ctx, id)
	if err != nil {
		h.failProduct(c, id, err)
		return
	}
	h.changedProduct(c, "deactivated", p)
	c.Status(http.StatusNoContent)
}

func errNotOperator() error {
	return problem.Common.New(problem.Forbidden, "only operators change the catalogue")
}

// productInput reads a product from the request. The server has checked the request against the specification already;
// productInput checks the rules that the specification cannot express.
func (h *handlers) productInput(c *gin.Context) (orderstore.ProductFields, error) {
	var body orderapi.ProductInput
	if !auth.From(c).Operates() {
		return orderstore.ProductFields{}, errNotOperator()
	}
	if err := httpx.DecodeJSON(c, &body); err != nil {
		return orderstore.ProductFields{}, err
	}

	seen := map[string]bool{}
	for i, price := range body.Prices {
		field := fmt.Sprintf("prices[%d].currency", i)
		if _, err := money.Exponent(price.Currency); err != nil {
			return orderstore.ProductFields{}, problem.Invalid(field, "%s", err)
		}
		if seen[price.Currency] {
			return orderstore.ProductFields{}, problem.Invalid(field, "there is another price in %s", price.Currency)
		}
		seen[price.Currency] = true
	}
	return orderstore.ProductFields{
		SKU:         body.SKU,
		Name:        body.Name,
		Description: body.Description,
		Category:    body.Category,
		Active:      body.Active == nil || *body.Active,
		Prices:      body.Prices,
	}, nil
}

// expected returns the version that a write by If-Match may replace: any version without a header and for "*". Of
// several tags it returns the product's current version, so that the store still notices a change meanwhile.
func (h *handlers) expected(ctx context.Context, id uuid.UUID, header string) (int64, error) {
	match, err := etag.ParseIfMatch(header)
	switch {
	case err != nil:
		return 0, problem.Invalid("If-Match", "%s", err)
	case !match.Given || match.Any:
		return orderstore.AnyVersion, nil
	case len(match.Versions) == 1:
		return match.Versions[0], nil
	}
	now, err := h.store.FindProduct(ctx, id)
	if err == nil && !match.Has(now.Version) {
		err = orderstore.ErrStale
	}
	return now.Version, err
}

// failProduct answers why a product was not changed.
func (h *handlers) failProduct(c *gin.Context, id uuid.UUID, err error) {
	var told *problem.Problem
	switch {
	case errors.As(err, &told):
		httpx.Fail(c, err)
	case errors.Is(err, orderstore.ErrNotFound):
		httpx.Fail(c, orderapi.Table.New(orderapi.ProductNotFound, "there is no product %s", id).At("product_id"))
	case errors.Is(err, orderstore.ErrStale):
		httpx.Fail(c, orderapi.Table.New(orderapi.PreconditionFailed,
			"the product has changed since you read it; read it again and repeat the change on the current version").
			At("If-Match"))
	case errors.Is(err, orderstore.ErrSKUTaken):
		httpx.Fail(c, skuTaken(err).At("sku"))
	case database.IsBusy(err):
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"an import or another change is being made to this product; send the same request again"))
	default:
		h.fail(c, err)
	}
}

// skuTaken returns a problem that names the product with the SKU, so that an operator also finds an inactive one.
func skuTaken(err error) *problem.Problem {
	var taken *orderstore.SKUTakenError
	switch {
	case !errors.As(err, &taken) || taken.ProductID == uuid.Nil:
		return orderapi.Table.New(orderapi.AlreadyExists, "another product had this SKU; send the same request again")
	case taken.Active:
		return orderapi.Table.New(orderapi.AlreadyExists,
			"product %s has this SKU; change that product or choose another SKU", taken.ProductID)
	}
	return orderapi.Table.New(orderapi.AlreadyExists,
		"product %s has this SKU and is inactive; bring it back with PUT and \"active\": true, or choose another SKU",
		taken.ProductID)
}

// changedProduct logs who changed the catalogue, and tells inventory whether the product is sold.
func (h *handlers) changedProduct(c *gin.Context, what string, p orderstore.Product) {
	h.log.InfoContext(c.Request.Context(), "product "+what, "product_id", p.ProductID, "actor", auth.From(c).Subject)
	h.sellable.now(c.Request.Context(), p)
}

func answerProduct(c *gin.Context, status int, p orderstore.Product) {
	c.Header("ETag", etag.Format(p.Version))
	c.JSON(status, wireProduct(p))
}
