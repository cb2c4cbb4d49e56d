package server

import (
	"reflect"

	"github.com/gin-gonic/gin"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
)

// actorHeader names the actor of a request. It takes precedence over an actor in the body.
const actorHeader = "X-Actor"

// decode reads the body strictly. If it cannot, it answers with a problem that names the field at fault. It refuses an
// actor for whom the caller does not act.
func decode(c *gin.Context, dst any) bool {
	err := httpx.DecodeJSON(c, dst)
	if err == nil {
		err = checkActor(c, dst)
	}
	if err != nil {
		httpx.Fail(c, err)
	}
	return err == nil
}

// decodeOptional is decode for a body that a client may leave out; given reports whether there was a body.
func decodeOptional(c *gin.Context, dst any) (given, ok bool) {
	given, err := httpx.DecodeOptionalJSON(c, dst)
	if err == nil {
		err = checkActor(c, dst)
	}
	if err != nil {
		httpx.Fail(c, err)
	}
	return given, err == nil
}

// checkActor checks the actor of a body, a pointer to a struct. It reads the field by its name, so that no request that
// is added later is forgotten. The actor of a body does not count beside an X-Actor.
func checkActor(c *gin.Context, body any) error {
	actor := reflect.ValueOf(body).Elem().FieldByName("Actor")
	if !actor.IsValid() || c.GetHeader(actorHeader) != "" {
		return nil
	}
	return auth.CheckActor(c, actor.String())
}
