package gateway

import (
	"context"
	"net/http/httputil"
	"strings"

	"github.com/gin-gonic/gin"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
)

// administer adds the routes by which operators change stock. What the product's version was, and is,
// passes in both directions as If-Match and ETag.
func administer(operators gin.IRouter, toInventory *httputil.ReverseProxy) {
	operators.POST("/api/inventory/:product_id/receive", forward(toInventory, writeTimeout))
	operators.POST("/api/inventory/:product_id/adjust", forward(toInventory, writeTimeout))
	operators.POST("/api/inventory/:product_id/transfer", forward(toInventory, writeTimeout))
	operators.PUT("/api/inventory/:product_id/threshold", forward(toInventory, writeTimeout))
	operators.PUT("/api/inventory/:product_id/locations/:location", forward(toInventory, writeTimeout))
	operators.DELETE("/api/inventory/:product_id/locations/:location", forward(toInventory, writeTimeout))
	operators.GET("/api/inventory/locations", forward(toInventory, readTimeout))
	operators.PUT("/api/inventory/locations/:code", forward(toInventory, writeTimeout))
	operators.POST(inventoryapi.ImportPath, forward(toInventory, inventoryapi.ImportTimeout))
}

// actorHeader tells the inventory service who acts.
const actorHeader = "X-Actor"

type actorKey struct{}

// requireOperator refuses whoever may not act on what belongs to the company, and remembers who acts.
func requireOperator(c *gin.Context) {
	id := auth.From(c)
	switch {
	case !id.Operates():
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators administer stock"))
	case strings.TrimSpace(id.Subject) != id.Subject:
		// A header loses the spaces around it, and with them whose change it was.
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "the token's subject has spaces around it and cannot be recorded"))
	default:
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), actorKey{}, id.Subject))
		c.Next()
	}
}

// nameActor tells the service whose token it is; what the client said has been dropped.
func nameActor(r *httputil.ProxyRequest) {
	if actor, ok := r.In.Context().Value(actorKey{}).(string); ok {
		r.Out.Header.Set(actorHeader, actor)
	}
}
