package gateway

import (
	"context"
	"net/http/httputil"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// actorHeader tells the inventory service who acts.
const actorHeader = "X-Actor"

type actorKey struct{}

// allow is a middleware that refuses a caller whose role may not use the route. If the service records who acts, it
// keeps the token's subject for nameActor.
func (r route) allow(c *gin.Context) {
	id := auth.From(c)
	roles := r.roles
	if r.unnamedRoles != nil && c.Query("product_ids") == "" {
		roles = r.unnamedRoles
	}
	switch {
	case !slices.Contains(roles, id.Role):
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators may do this"))
	case r.namesActor && strings.TrimSpace(id.Subject) != id.Subject:
		// A header loses the spaces around its value, so the service would record another subject.
		httpx.Fail(c, problem.Common.New(problem.Forbidden,
			"the token's subject has spaces around it and cannot be recorded; use a token without them"))
	case r.namesActor:
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), actorKey{}, id.Subject))
	}
}

// nameActor sends the token's subject to the service as the actor. The proxy has dropped the client's own header.
func nameActor(r *httputil.ProxyRequest) {
	if actor, ok := r.In.Context().Value(actorKey{}).(string); ok {
		r.Out.Header.Set(actorHeader, actor)
	}
}
