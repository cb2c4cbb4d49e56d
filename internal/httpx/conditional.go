package httpx

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"holdfast/internal/etag"
)

// NotModified sends the version of a GET's answer as its ETag. If the client has that version already (If-None-Match),
// it ends the request with 304 and returns true. It ignores a header that it cannot read: the whole answer is right for
// every client.
func NotModified(c *gin.Context, version int64) bool {
	if version <= 0 { // unknown
		return false
	}
	c.Header("ETag", etag.Format(version))
	match, err := etag.ParseIfNoneMatch(c.GetHeader("If-None-Match"))
	if err != nil || !match.Given || !match.Has(version) {
		return false
	}
	c.Abort()
	c.Status(http.StatusNotModified)
	c.Writer.WriteHeaderNow()
	return true
}
