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
	"holdfast/internal/servicetoken"
)

// actorHeader tells the inventory service who acts.
const actorHeader = "X-Actor"

type (
	actorKey struct{}
	tokenKey struct{}
)

// allow is a middleware that refuses a caller whose role may not use the route. If the service records who acts, it
// keeps the token's subject for nameUser.
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

// voucher makes the internal tokens with which the gateway tells a service who the user is.
type voucher struct{ signer *servicetoken.Signer }

func newVoucher(c servicetoken.Config) voucher {
	return voucher{servicetoken.NewSigner(c, "gateway")}
}

// to returns a middleware that makes an internal token for a service, for the user that the client's token names. It
// keeps the token for nameUser.
func (v voucher) to(service string) gin.HandlerFunc {
	return func(c *gin.Context) {
		id := auth.From(c)
		token, err := v.signer.Sign(service, servicetoken.Caller{
			Subject: id.Subject,
			Issuer:  id.Issuer,
			Role:    string(id.Role),
		})
		if err != nil {
			httpx.Fail(c, err)
			return
		}
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), tokenKey{}, token))
	}
}

// nameUser tells the service who the user is. The proxy has dropped the client's own headers of these names.
func nameUser(r *httputil.ProxyRequest) {
	if token, ok := r.In.Context().Value(tokenKey{}).(string); ok {
		r.Out.Header.Set(servicetoken.Header, token)
	}
	if actor, ok := r.In.Context().Value(actorKey{}).(string); ok {
		r.Out.Header.Set(actorHeader, actor)
	}
}
