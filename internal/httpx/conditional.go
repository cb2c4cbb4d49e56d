package httpx

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"holdfast/internal/etag"
)

// NotModified tells the version of what a GET answers as its ETag, and ends the request with 304 where the client has
// that version (If-None-Match). A header that cannot be read is as good as none: the whole answer is never wrong.
func NotModified(c *gin.Context, version int64) bool {
	if version <= 0 { // not known
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
