package gateway

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
)

// corsMaxAge is how long a browser may remember the answer to a preflight request, in seconds. Browsers cap it.
const corsMaxAge = 600

// crossOrigin returns a middleware that lets web pages of the configured origins use the interface, and nil if there
// are none. It answers a preflight request itself, because a browser sends it without a token.
func crossOrigin(cfg CORSConfig) gin.HandlerFunc {
	if len(cfg.Origins) == 0 {
		return nil
	}
	rules := cors.New(cors.Options{
		AllowOriginFunc:  exactly(cfg.Origins),
		AllowCredentials: cfg.Credentials,
		AllowedMethods: []string{
			http.MethodGet,
			http.MethodHead,
			http.MethodPost,
			http.MethodPut,
			http.MethodPatch,
			http.MethodDelete,
			http.MethodOptions,
		},
		AllowedHeaders: []string{
			"Accept",
			"Authorization",
			"Content-Type",
			"Idempotency-Key",
			"If-Match",
			"If-None-Match",
			"Last-Event-ID",
			"Prefer",
			"X-Correlation-ID",
		},
		ExposedHeaders: []string{
			"ETag",
			"Idempotency-Key",
			"Idempotency-Replayed",
			"Location",
			"Preference-Applied",
			"RateLimit",
			"RateLimit-Policy",
			"Retry-After",
			"X-Correlation-ID",
			"X-RateLimit-Limit",
			"X-RateLimit-Remaining",
			"X-RateLimit-Reset",
			"X-Response-Time",
		},
		MaxAge: corsMaxAge,
	})
	return func(c *gin.Context) {
		rules.HandlerFunc(c.Writer, c.Request)
		if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
			c.Abort()
			c.Writer.WriteHeaderNow()
			return
		}
		c.Next()
	}
}

// exactly reports whether an origin is in the list, byte by byte. The library's own list would ignore the case.
func exactly(origins []string) func(string) bool {
	known := map[string]bool{}
	for _, origin := range origins {
		known[origin] = true
	}
	return func(origin string) bool { return known[origin] }
}
