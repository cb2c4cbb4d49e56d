package inventory

import (
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"holdfast/internal/ratelimit"
)

// limitStrangers returns a middleware that limits the requests of callers that are not our services, by their address.
// There are two accounts: one for reads, and one for everything else.
func limitStrangers(l *ratelimit.Limiter, cfg ratelimit.Config) gin.HandlerFunc {
	reads := l.Limit(ratelimit.Class{Name: "read", PerMinute: cfg.Reads}, peer)
	writes := l.Limit(ratelimit.Class{Name: "write", PerMinute: cfg.Writes}, peer)
	return func(c *gin.Context) {
		switch c.Request.Method {
		case http.MethodGet, http.MethodHead:
			reads(c)
		default:
			writes(c)
		}
	}
}

// peer is the address at the other end of the connection. No proxy stands before the service that could name another.
func peer(c *gin.Context) string {
	from, err := netip.ParseAddrPort(c.Request.RemoteAddr)
	if err != nil {
		return c.Request.RemoteAddr
	}
	return ratelimit.Address(from.Addr().Unmap().WithZone(""))
}
