package httpx

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
)

// RequireServiceKey refuses requests without one of the given keys, as X-API-Key or as a bearer token. Several keys are
// valid at once so that an operator can rotate them. Without keys it refuses every request.
func RequireServiceKey(keys []string) gin.HandlerFunc {
	sums := make([][sha256.Size]byte, 0, len(keys))
	for _, k := range keys {
		sums = append(sums, sha256.Sum256([]byte(k)))
	}
	return func(c *gin.Context) {
		given := c.GetHeader(servicekey.Header)
		if bearer, ok := strings.CutPrefix(c.GetHeader("Authorization"), "Bearer "); ok && given == "" {
			given = bearer
		}
		sum := sha256.Sum256([]byte(given))
		found := 0
		for i := range sums { // it compares every key, so that the time does not tell a client which key is close
			found |= subtle.ConstantTimeCompare(sums[i][:], sum[:])
		}
		if given == "" || found == 0 {
			Fail(c, problem.Common.New(problem.Unauthenticated, "a valid service key is required in %s", servicekey.Header))
			return
		}
		c.Next()
	}
}
