package gateway

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"holdfast/internal/auth"
	"holdfast/internal/ratelimit"
)

// class is a kind of routes whose requests a client may send at one rate.
type class struct {
	ratelimit.Class
	ofOwner bool // counted by the token's subject; else by the client's address
}

// classes are the classes of routes, and that of the requests whose sender is unknown.
type classes struct{ reads, writes, orders, admin, webhooks, pages, unknown class }

func newClasses(cfg LimitConfig) classes {
	ofOwner := func(name string, perMinute int) class {
		return class{ratelimit.Class{Name: name, PerMinute: perMinute}, true}
	}
	ofAddress := func(name string, perMinute int) class {
		return class{ratelimit.Class{Name: name, PerMinute: perMinute}, false}
	}
	return classes{
		reads:    ofOwner("read", cfg.Reads),
		writes:   ofOwner("write", cfg.Writes),
		orders:   ofOwner("order", cfg.Orders),
		admin:    ofOwner("admin", cfg.Admin),
		webhooks: ofAddress("webhook", cfg.Webhooks),
		pages:    ofAddress("page", cfg.Reads),
		unknown:  ofAddress("unauthenticated", cfg.Unauthenticated),
	}
}

// of returns the class of a route.
func (c classes) of(r route) class {
	switch {
	case !slices.Contains(r.roles, auth.Customer):
		return c.admin
	case r.method == http.MethodGet:
		return c.reads
	case r.method == http.MethodPost && (r.path == "/api/orders" || r.path == "/api/inventory/reserve"):
		return c.orders
	}
	return c.writes
}

// limit is a middleware that counts a request of the class and refuses it with 429 if its client has sent too many. Our
// own services, which have a key, and a shop, which orders for many customers, have no limit.
func (g *gateway) limit(of class) gin.HandlerFunc {
	return g.limits.Limit(of.Class, func(c *gin.Context) string {
		switch {
		case g.clients.isService(c.Request), of.ofOwner && auth.From(c).Role == auth.Shop:
			return ""
		case of.ofOwner:
			id := auth.From(c)
			return strconv.Itoa(len(id.Issuer)) + ":" + id.Issuer + id.Subject
		}
		return ratelimit.Address(clientOf(c).address)
	})
}
