package httpx

import (
	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
)

// RequireServiceKey refuses requests without one of the given keys. Without keys it refuses every request.
func RequireServiceKey(keys []string) gin.HandlerFunc {
	set := servicekey.NewSet(keys)
	return func(c *gin.Context) {
		if !set.Has(servicekey.From(c.Request)) {
			Fail(c, problem.Common.New(problem.Unauthenticated, "a valid service key is required in %s", servicekey.Header))
			return
		}
		Annotate(c, "source_service", servicekey.Source(c.Request))
		c.Next()
	}
}
