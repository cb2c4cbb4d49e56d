package auth

import (
	"maps"
	"slices"

	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
)

// Guard admits requests to a service: those with an internal token and those with a service key, and no others. It
// refuses an operation to every caller that the service's OpenAPI document does not admit (ADR 20).
type Guard struct {
	tokens *servicetoken.Verifier
	keys   servicekey.Set
	access map[string]access
	limit  gin.HandlerFunc
}

// NewGuard returns the guard of a service, which is the audience of its tokens, for the operations of the given OpenAPI
// documents. It refuses a document with an operation that declares no role.
func NewGuard(c servicetoken.Config, keys []string, service string, specs ...[]byte) (*Guard, error) {
	g := &Guard{
		tokens: servicetoken.NewVerifier(c, service),
		keys:   servicekey.NewSet(keys),
		access: map[string]access{},
	}
	for _, spec := range specs {
		operations, err := accessOf(spec)
		if err != nil {
			return nil, err
		}
		maps.Copy(g.access, operations)
	}
	return g, nil
}

// LimitRefusals makes Require call limit before it answers 401. If limit itself answers the request, that is the
// answer.
func (g *Guard) LimitRefusals(limit gin.HandlerFunc) { g.limit = limit }

const callerKey = "holdfast.caller"

// Require is a middleware that refuses a request whose caller is unknown, with 401, or may not use the operation, with
// 403. It refuses every request to a route that the documents do not have.
func (g *Guard) Require(c *gin.Context) {
	caller, err := g.caller(c)
	if err != nil {
		refuse(c, g.limit, err)
		return
	}

	httpx.Annotate(c, "source_service", caller.Service)
	to := g.access[c.Request.Method+" "+c.FullPath()]
	switch {
	case caller.Role == "" && !to.services:
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only users may do this: call it with an internal token "+
			"that names the user and the role"))
	case caller.Role != "" && !slices.Contains(to.roles, Role(caller.Role)):
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "the role %s may not do this; %s may", caller.Role, to.plural()))
	default:
		c.Set(callerKey, caller)
		c.Set(identityKey, Identity{Issuer: caller.Issuer, Subject: caller.Subject, Role: Role(caller.Role)})
		c.Next()
	}
}

// caller finds out who sends the request. A request with an internal token is judged by the token alone.
func (g *Guard) caller(c *gin.Context) (servicetoken.Caller, error) {
	if token := c.GetHeader(servicetoken.Header); token != "" {
		caller, err := g.tokens.Verify(token)
		if err != nil {
			_ = c.Error(err) // for the log
			return caller, problem.Common.New(problem.Unauthenticated, "the internal token is not accepted")
		}
		return caller, nil
	}
	if g.keys.Has(servicekey.From(c.Request)) {
		return servicetoken.Caller{Service: servicekey.Source(c.Request)}, nil
	}
	return servicetoken.Caller{}, problem.Common.New(problem.Unauthenticated, "this is the port of a service: it takes "+
		"an internal token in %s or a service key in %s; clients send their requests to the gateway",
		servicetoken.Header, servicekey.Header)
}

// CheckActor refuses an actor for whom the caller does not act. Who only has a service key may name the platform's own
// actors, and no user.
func CheckActor(c *gin.Context, actor string) error {
	caller, _ := c.MustGet(callerKey).(servicetoken.Caller)
	if actor == "" || actor == caller.Subject || caller.Subject == "" && slices.Contains(platformActors, actor) {
		return nil
	}
	return problem.Common.New(problem.Forbidden, "the actor is not the one of the internal token; "+
		"only a service that acts for a verified user may name that user").At("actor")
}
