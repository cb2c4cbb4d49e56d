package server

import (
	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
)

// decode reads the body strictly. If it cannot, it answers with a problem that names the field at fault.
func decode(c *gin.Context, dst any) bool {
	if err := httpx.DecodeJSON(c, dst); err != nil {
		httpx.Fail(c, err)
		return false
	}
	return true
}

// decodeOptional is decode for a body that a client may leave out; given reports whether there was a body.
func decodeOptional(c *gin.Context, dst any) (given, ok bool) {
	given, err := httpx.DecodeOptionalJSON(c, dst)
	if err != nil {
		httpx.Fail(c, err)
	}
	return given, err == nil
}
